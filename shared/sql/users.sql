-- Users, whose rows are created with their first task.

-- Waits until no other session creates or erases the user. A row that doesn't exist can't be locked.
create function task_api_functions.lock_existence(p_user_id text)
returns void language sql
begin atomic
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_user_id, 0));
end;

-- Creates a user's row, unless it exists. The result depends on the deadline of the write that needs the
-- row, and on the attempts from before the user was erased:
--   null     the write may be carried out
--   deleted, void, unknown  as for begin_write
create function task_api_functions.create_user(
    p_user_id text,
    p_email text,
    p_name text,
    p_image text,
    p_email_verified boolean,
    p_attempt uuid,
    p_is_retry boolean,
    p_void_after timestamptz
)
returns text language plpgsql
as $$
declare
    -- A longer e-mail address doesn't fit in its index.
    v_email text := case when octet_length(p_email) <= 2600 then p_email end;
    -- Microseconds since the epoch, so that a row created after an erasure never repeats a revision.
    v_revision bigint := extract(epoch from clock_timestamp()) * 1000000;
    v_erased public.erased_users;
begin
    perform task_api_functions.lock_existence(p_user_id);
    select e.* into v_erased
    from public.erased_users e
    where e.id_hash = sha256(convert_to(p_user_id, 'UTF8'));
    if clock_timestamp() > p_void_after then
        return 'void';
    elsif p_attempt = any (v_erased.attempts || v_erased.voided) then
        return case when p_is_retry then 'deleted' else 'void' end;
    elsif p_is_retry and p_attempt <= v_erased.attempts_evicted then
        return 'unknown';
    end if;
    -- On conflict, another call has created the row, or another user has the e-mail address. So the
    -- second attempt omits the address.
    for v_without_email in 0..1 loop
        insert into public.users (
            id, email, name, image, email_verified, revision, changes_from,
            attempts, attempts_evicted, voided, voided_until
        )
        values (
            p_user_id, v_email, p_name, p_image, p_email_verified and v_email is not null, v_revision, v_revision,
            coalesce(v_erased.attempts, '{}'), v_erased.attempts_evicted, coalesce(v_erased.voided, '{}'),
            clock_timestamp() + interval '5 minutes'
        )
        on conflict do nothing;
        exit when found;
        v_email := null;
    end loop;
    perform task_api_functions.forget(p_user_id);
    return null;
end
$$;

-- Deletes everything about a user. The attempts in the user's row, and this one, are stored as long as a
-- write may still arrive late. outcome:
--   done
--   void  not carried out: too late
create function task_api_functions.erase_user(
    p_user_id text,
    p_attempt uuid,                     -- for this and the next two, see writes.sql
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
    perform task_api_functions.lock_existence(p_user_id);
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

    perform task_api_functions.forget(p_user_id);
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
