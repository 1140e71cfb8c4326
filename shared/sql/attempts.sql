-- Writes that are sent twice, or arrive late.
--
-- An endpoint whose connection breaks sends its write again without knowing what became of the first attempt. Both
-- attempts carry the same id (UUID version 7) and the same deadline. A user's row stores the ids of the last writes
-- that were carried out, and of those whose retry came first: each write checks both once it has locked the row.

-- Whether to carry out a retry: null if so. done: its first attempt was carried out. void: it is too late. unknown: it
-- may have been carried out, but so many others were since that nobody can tell. The caller has locked the user's row.
create function task_api_functions.judge_retry(p_user_id text, p_attempt uuid, p_void_after timestamptz)
returns text language plpgsql
as $$
declare
    v_carried_out boolean;
    v_forgotten boolean;
begin
    select p_attempt = any (u.attempts), p_attempt <= u.attempts_evicted
    into v_carried_out, v_forgotten
    from public.users u
    where u.id = p_user_id;
    if v_carried_out then
        return 'done';
    end if;
    -- Whatever comes of this retry, the first attempt must not be carried out after it. Past its deadline it can't be
    -- anyway; the minute is for a clock that is set back.
    update public.users u
    set voided = p_attempt || case when u.voided_until > clock_timestamp() then u.voided else '{}' end,
        voided_until = greatest(u.voided_until, p_void_after + interval '1 minute')
    where u.id = p_user_id;
    return case when clock_timestamp() > p_void_after then 'void' when v_forgotten then 'unknown' end;
end
$$;
