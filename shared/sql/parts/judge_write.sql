    written_at := greatest(clock_timestamp(), v_updated_at);
    -- The budget holds at most ten minutes' worth of writes.
    budget_since := greatest(budget_since, written_at - interval '10 minutes');
    if v_is_stale then
        -- Code without revisions may have created the row again after an erasure. Microseconds since the
        -- epoch exceed every revision from before the erasure.
        v_revision := greatest(v_revision, extract(epoch from written_at) * 1000000);
        v_task_count := (
            select count(*)
            from public.tasks t
            where t.user_id = p_user_id
        );
    end if;
    if p_is_retry then
        outcome := task_api_functions.judge_retry(p_user_id, p_attempt, p_void_after);
    elsif v_known or clock_timestamp() > p_void_after then
        outcome := 'void';
    end if;
    -- If the attempt's outcome is unknown, the key can decide it.
    if p_idempotency_key is not null and (outcome is null or outcome = 'unknown') then
        select k.outcome, k.task_id, k.task_number
        into outcome, v_key_id, v_key_number
        from task_api_functions.judge_key(p_user_id, p_idempotency_key, p_idempotency_hash) k;
    end if;
    if outcome is null and p_writes_per_minute > 0
        and budget_since + 60000000 / p_writes_per_minute * interval '1 microsecond' > written_at
    then
        outcome := 'limited';
    end if;
