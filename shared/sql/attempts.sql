-- Writes that are sent twice or arrive late.
--
-- If an endpoint's connection breaks, the endpoint sends its write again without knowing whether the first
-- attempt was carried out. Both attempts have the same id, a UUID version 7, and each has a deadline
-- (p_void_after). A user's row stores the ids of the last writes that were carried out (attempts), and of
-- writes whose retry arrived before their first attempt (voided). Each write checks both after it has locked
-- the row.

-- Decides whether to carry out a retry. Returns null to carry it out. Otherwise returns an outcome: done (the
-- first attempt was carried out), void (the deadline has passed) or unknown (the first attempt may have been
-- carried out, but its id may have been evicted by later writes). The caller has locked the user's row.
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
    -- The first attempt must not be carried out after this retry, whatever the retry's outcome. After its
    -- deadline it isn't carried out in any case, so the id is only needed until then. The minute covers a
    -- clock that is set back.
    update public.users u
    set voided = p_attempt || case when u.voided_until > clock_timestamp() then u.voided else '{}' end,
        voided_until = greatest(u.voided_until, p_void_after + interval '1 minute')
    where u.id = p_user_id;
    return case when clock_timestamp() > p_void_after then 'void' when v_forgotten then 'unknown' end;
end
$$;
