"""Models whose language model has a config of its own inside theirs."""

from hubmem.models.family import Family, never

COMPOSITES: tuple[Family, ...] = (
    Family(
        "aria audioflamingo3 aya_vision blip blip-2 cohere2_vision cohere_compass cosmos3_edge"
        " cosmos3_omni deepseek_ocr2 deepseek_vl deepseek_vl_hybrid diffusion_gemma dots3_note"
        " emu3 ernie4_5_vl_moe exaone4_5 fast_vlm florence2 fun_asr_nano fuyu gemma3 gemma3n"
        " gemma4 gemma4_unified glm46v glm4v glm4v_moe glm5_next glm_image glm_ocr glmasr glmga"
        " got_ocr2 granite4_vision granite_docling granite_speech granite_speech_plus hunyuan_vl"
        " hyperclovax_vision_v2 idefics2 idefics3 inkling2 inkling_mm_model instructblip"
        " instructblipvideo internvl janus kimi_k25 kosmos-2 kosmos-2.5 lfm2_vl lfm3_vl"
        " lighton_ocr llama4 llava llava_next llava_next_video llava_onevision minicpm_ocr"
        " minicpmv4_6 minicpmv4_7 minimax_m3_vl mistral3 mistral_large4 mllama molmo2"
        " moss_transcribe_diarize muse_glimmer muse_spark musicflamingo nemo_speechlm"
        " nemotron_h_omni ovis2 paddleocr_vl paligemma perception_lm pp_chart2table qianfan_ocr"
        " qwen2_5_omni_thinker qwen2_5_vl qwen2_audio qwen2_vl qwen3_5 qwen3_5_moe qwen3_asr"
        " qwen3_omni_moe_thinker qwen3_vl qwen3_vl_moe qwen4_exp shieldgemma2 smolvlm step3p7"
        " unlimited_ocr vibevoice vibevoice_asr video_llama_3 video_llava vipllava voxtral"
        " voxtral_realtime",
        body=("text_config", "language_config", "llm_config"),
    ),
    # Drafts for another model, whose cache it reads.
    Family("gemma4_assistant gemma4_unified_assistant", body=("text_config",), generates=never),
    # Encoders of images and text together.
    Family("modernvbert ultravbert", body=("text_config",), generates=never),
    Family("colmodernvbert colpali colqwen2", body=("vlm_config",), generates=never),
    Family("qwen2_5_omni qwen3_omni_moe", body=("thinker_config",)),
    # Speech from text in three models one after another, of which the first is the largest.
    Family("bark", body=("semantic_config",)),
    Family("pi0", body=("vlm_config",)),
    Family("canary dia", body=("decoder_config",)),
    Family("pix2struct pp_formulanet", body=("text_config",)),
    Family(
        "encoder-decoder musicgen musicgen_melody nougat speech-encoder-decoder t5gemma t5gemma2"
        " vision-encoder-decoder",
        body=("decoder",),
    ),
)
