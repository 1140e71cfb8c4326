    p_idempotency_key text,
    p_idempotency_hash bytea,           -- hash of the request that has the key
    p_writes_per_minute integer,        -- 0: no limit
    p_attempt uuid,                     -- for this and the next two, see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text,
    out written_at timestamptz,         -- this and the next are null if the user has no row
    out budget_since timestamptz        -- the write budget has accrued from this time to written_at
