-- Deletes everything about a user. outcome: done; void (not carried out: too late). The attempts in the
-- user's row, and this one, are stored as long as a write may still arrive late.
create function task_api_functions.erase_user(
    p_user_id text,
    p_attempt uuid,                     -- for this and the next two, see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_id_hash bytea := sha256(convert_to(p_user_id, 'UTF8'));
    v_attempts uuid[];
    v_attempts_evicted uuid;
    v_voided uuid[];
begin
    select u.attempts, u.attempts_evicted, u.voided
    into v_attempts, v_attempts_evicted, v_voided
    from public.users u
    where u.id = p_user_id
    for update;
    if not found then
        select e.attempts, e.attempts_evicted, e.voided
        into v_attempts, v_attempts_evicted, v_voided
        from public.erased_users e
        where e.id_hash = v_id_hash;
    end if;
    if p_attempt = any (v_voided) then
        outcome := case when p_is_retry then 'done' else 'void' end;
        return;
    elsif clock_timestamp() > p_void_after then
        outcome := 'void';
        return;
    end if;

    delete from public.tasks t where t.user_id = p_user_id;
    delete from public.deleted_tasks d where d.user_id = p_user_id;
    delete from public.idempotency_keys k where k.user_id = p_user_id;
    delete from public.users u where u.id = p_user_id;

    delete from public.erased_users e where e.erased_at < clock_timestamp() - interval '5 minutes';
    -- The newest hundred suffice: a user sends fewer in the time by which an erasure can be late.
    insert into public.erased_users as e (id_hash, attempts, attempts_evicted, voided, erased_at)
    values (
        v_id_hash, coalesce(v_attempts, '{}'), v_attempts_evicted, (p_attempt || v_voided)[1:100], clock_timestamp()
    )
    on conflict (id_hash) do update
    set attempts = excluded.attempts,
        attempts_evicted = excluded.attempts_evicted,
        voided = excluded.voided,
        erased_at = excluded.erased_at;
    outcome := 'done';
end
$$;

grant execute on function task_api_functions.erase_user to task_api_endpoints;
