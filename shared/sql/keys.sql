-- Whether an idempotency key was used: null if not. replayed: for the same request, which wrote the task that is
-- returned. conflict: for another request.
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
        -- Code that knows no table of keys keeps a create's key with the task.
        select case when t.idempotency_hash = p_hash then 'replayed' else 'conflict' end, t.id, t.number
        into outcome, task_id, task_number
        from public.tasks t
        where t.user_id = p_user_id
          and t.idempotency_key = p_key;
    end if;
end
$$;

-- Deletes what is remembered of a user's writes for a time that is over.
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
