-- Creates a user's row, unless it exists, and returns null. If the write that needs the row must not be
-- carried out, returns the write's outcome instead: void, deleted or unknown. That depends on its deadline,
-- and on the attempts from before the user was erased.
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
    v_attempts uuid[];
    v_attempts_evicted uuid;
    v_voided uuid[];
begin
    select e.attempts, e.attempts_evicted, e.voided
    into v_attempts, v_attempts_evicted, v_voided
    from public.erased_users e
    where e.id_hash = sha256(convert_to(p_user_id, 'UTF8'));
    if clock_timestamp() > p_void_after then
        return 'void';
    elsif p_attempt = any (v_attempts || v_voided) then
        return case when p_is_retry then 'deleted' else 'void' end;
    elsif p_is_retry and p_attempt <= v_attempts_evicted then
        return 'unknown';
    end if;
    -- On conflict, another call has created the row, or another user has the e-mail address. So the
    -- second attempt omits the address.
    for v_without_email in 0..1 loop
        insert into public.users (
            id, email, name, image, email_verified, revision, revised_by, changes_from, task_count,
            attempts, attempts_evicted, voided, voided_until
        )
        values (
            p_user_id, v_email, p_name, p_image, p_email_verified and v_email is not null,
            v_revision, v_attempts[1], v_revision, 0,
            coalesce(v_attempts, '{}'), v_attempts_evicted, coalesce(v_voided, '{}'),
            clock_timestamp() + interval '5 minutes'
        )
        on conflict do nothing;
        exit when found;
        v_email := null;
    end loop;
    perform task_api_functions.record_use();
    return null;
end
$$;
