    if p_writes_per_minute > 0 then
        budget_since := budget_since + 60000000 / p_writes_per_minute * interval '1 microsecond';
    end if;
    update public.users u
    set revision = v_revision,
        revised_by = p_attempt,
        task_count = v_task_count,
        changes_from = case when v_is_stale then v_revision else u.changes_from end,
        budget_from = budget_since,
        attempts = (p_attempt || u.attempts)[1:8],
        attempts_evicted = greatest(u.attempts_evicted, u.attempts[8]),
        updated_at = written_at
    where u.id = p_user_id;
    if p_idempotency_key is not null then
        insert into public.idempotency_keys (user_id, key, hash, task_id, task_number, used_at)
        values (p_user_id, p_idempotency_key, p_idempotency_hash, id, number, written_at);
    end if;
    -- On the user's first write of a day.
    if v_updated_at::date < written_at::date then
        perform task_api_functions.record_use();
        perform task_api_functions.forget(p_user_id, written_at);
    end if;
