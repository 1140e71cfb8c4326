    v_scope text := set_config('app.user_id', p_user_id, true);
    v_known boolean;                    -- whether the attempt has been carried out or voided
    v_is_stale boolean;                 -- whether code without revisions or counts wrote last
    v_revision bigint;
    v_task_count integer;
    v_updated_at timestamptz;
    v_key_id uuid;                      -- the task that an earlier request with this key wrote
    v_key_number bigint;
