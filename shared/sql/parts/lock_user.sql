    select p_attempt = any (u.attempts || u.voided),
           u.task_count is null or u.attempts[1] is distinct from u.revised_by,
           u.revision, u.task_count, u.updated_at, u.budget_from
    into v_known, v_is_stale, v_revision, v_task_count, v_updated_at, budget_since
    from public.users u
    where u.id = p_user_id
    for no key update;
