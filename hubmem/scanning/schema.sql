-- The store of a scan, format hubmem.scan/1. `value` is the line printed for a repo; the views read it.

CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS results (
    repo      TEXT PRIMARY KEY,   -- as it was asked for
    "commit"  TEXT,               -- 40 hexadecimal digits, where it is known
    is_report INTEGER NOT NULL,   -- 1 for a report, 0 for a skip
    retryable INTEGER NOT NULL,   -- 1 for a skip that another try may turn into a report
    value     TEXT NOT NULL       -- JSON: hubmem.report/1 or hubmem.skipped/1
);

-- One row a report. Sizes are bytes.
CREATE VIEW IF NOT EXISTS repos AS SELECT
    repo,
    "commit",
    json_extract(value, '$.source')                      AS source,
    json_extract(value, '$.gated')                       AS gated,
    json_extract(value, '$.architecture.model_type')     AS model_type,
    json_extract(value, '$.architecture.layers')         AS layers,
    json_extract(value, '$.architecture.experts')        AS experts,
    json_extract(value, '$.architecture.max_context')    AS max_context,
    json_extract(value, '$.parameters.total')            AS parameters,
    json_extract(value, '$.parameters.active')           AS active,
    json_extract(value, '$.parameters.basis')            AS basis,
    json_extract(value, '$.weights.format')              AS format,
    json_extract(value, '$.weights.files')               AS files,
    json_extract(value, '$.weights.stored_bytes')        AS weights,
    json_extract(value, '$.weights.quantization.method') AS quantization,
    json_extract(value, '$.workload.context')            AS context,
    json_extract(value, '$.workload.batch')              AS batch,
    json_extract(value, '$.cache.bytes')                 AS cache,
    json_extract(value, '$.plan.total_bytes')            AS total,
    json_extract(value, '$.plan.per_gpu_bytes')          AS per_gpu,
    value
FROM results WHERE is_report;

-- One row a report and accelerator.
CREATE VIEW IF NOT EXISTS verdicts AS SELECT
    repo,
    json_extract(verdict.value, '$.gpu')            AS gpu,
    json_extract(verdict.value, '$.gpus')           AS gpus,
    json_extract(verdict.value, '$.verdict')        AS verdict,
    json_extract(verdict.value, '$.required_bytes') AS required,
    json_extract(verdict.value, '$.usable_bytes')   AS usable,
    json_extract(verdict.value, '$.max_context')    AS max_context,
    json_extract(verdict.value, '$.max_batch')      AS max_batch
FROM results, json_each(results.value, '$.verdicts') AS verdict WHERE is_report;

-- One row a skip.
CREATE VIEW IF NOT EXISTS skipped AS SELECT
    repo,
    "commit",
    json_extract(value, '$.reason')  AS reason,
    json_extract(value, '$.message') AS message,
    json_extract(value, '$.hint')    AS hint,
    retryable
FROM results WHERE NOT is_report;
