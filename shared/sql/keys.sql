-- Checks whether an idempotency key was used. outcome: null (no); replayed (with the same request; returns
-- the task that it wrote); conflict (with a different request).
create function task_api_functions.judge_key(
    p_user_id text,
    p_key text,
    p_hash bytea,
    out outcome text, out task_id uuid, out task_number bigint
)
language plpgsql
as $$
begin
    select case when k.hash = p_hash then 'replayed' else 'conflict' end, k.task_id, k.task_number
    into outcome, task_id, task_number
    from public.idempotency_keys k
    where k.user_id = p_user_id
      and k.key = p_key;
    if not found then
        -- Versions of the code without the table of keys store the key of a create in the task's row.
        select case when t.idempotency_hash = p_hash then 'replayed' else 'conflict' end, t.id, t.number
        into outcome, task_id, task_number
        from public.tasks t
        where t.user_id = p_user_id
          and t.idempotency_key = p_key;
    end if;
end
$$;

-- Deletes a user's expired records: idempotency keys after 24 hours, deletions after 30 days.
create function task_api_functions.forget(p_user_id text, p_now timestamptz)
returns void language plpgsql
as $$
declare
    v_revision bigint;
begin
    delete from public.idempotency_keys k
    where k.user_id = p_user_id
      and k.used_at < p_now - interval '24 hours';

    with forgotten as (
        delete from public.deleted_tasks d
        where d.user_id = p_user_id
          and d.deleted_at < p_now - interval '30 days'
        returning d.revision
    )
    select max(f.revision) into v_revision
    from forgotten f;
    if v_revision is not null then
        update public.users u
        set changes_from = greatest(u.changes_from, v_revision)
        where u.id = p_user_id;
    end if;
end
$$;
