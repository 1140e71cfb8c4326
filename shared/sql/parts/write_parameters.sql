    p_idempotency_key text,
    p_idempotency_hash bytea,           -- of what came with the key
    p_writes_per_minute integer,        -- 0: no limit
    p_attempt uuid,                     -- as the next two: see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text,
    out written_at timestamptz,         -- null, as the next one, if the user has no row
    out budget_since timestamptz        -- the write budget is what accrued from then to written_at
