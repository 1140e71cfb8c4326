-- Creates a user's row, unless another call did. False if the write that needs it is void.
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
returns boolean language plpgsql
as $$
declare
    -- A longer one doesn't fit its index.
    v_email text := case when octet_length(p_email) <= 2600 then p_email end;
    -- A row that is created again after it was erased must not repeat a revision.
    v_revision bigint := extract(epoch from clock_timestamp()) * 1000000;
    -- What was voided before the user was erased.
    v_voided uuid[] := coalesce((
        select e.voided
        from public.erased_users e
        where e.id_hash = sha256(convert_to(p_user_id, 'UTF8'))
    ), '{}');
begin
    if clock_timestamp() > p_void_after or p_attempt = any (v_voided) and not p_is_retry then
        return false;
    end if;
    -- On conflict the row is there by now, or the e-mail is another user's.
    insert into public.users (
        id, email, name, image, email_verified, revision, changes_from, task_count, voided, voided_until
    )
    values (
        p_user_id, v_email, p_name, p_image, p_email_verified and v_email is not null, v_revision, v_revision, 0,
        v_voided, clock_timestamp() + interval '5 minutes'
    )
    on conflict do nothing;
    if not found then
        insert into public.users (id, name, image, revision, changes_from, task_count, voided, voided_until)
        values (
            p_user_id, p_name, p_image, v_revision, v_revision, 0,
            v_voided, clock_timestamp() + interval '5 minutes'
        )
        on conflict do nothing;
    end if;
    perform task_api_functions.record_use();
    return true;
end
$$;
