-- Deletes a task, by its id or its number. outcome: done (with the id, unless an earlier attempt deleted the task);
-- not_found; void; unknown.
create function task_api_functions.delete_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_attempt uuid,                     -- as the next two: see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text, out id uuid
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_known boolean;
    v_updated_at timestamptz;
    v_now timestamptz;
begin
    select p_attempt = any (u.attempts || u.voided), u.updated_at
    into v_known, v_updated_at
    from public.users u
    where u.id = p_user_id
    for no key update;
    if not found then
        -- A user without a row has no tasks.
        outcome := 'not_found';
        return;
    end if;
    v_now := greatest(clock_timestamp(), v_updated_at);
    if p_is_retry then
        outcome := task_api_functions.judge_retry(p_user_id, p_attempt, p_void_after);
    elsif v_known or clock_timestamp() > p_void_after then
        outcome := 'void';
    end if;
    if outcome is not null then
        return;
    end if;

    if p_id is null then
        p_id := (
            select t.id
            from public.tasks t
            where t.user_id = p_user_id
              and t.number = p_number
        );
    end if;
    delete from public.tasks t
    where t.user_id = p_user_id
      and t.id = p_id
    returning 'done', t.id
    into outcome, id;
    if not found then
        outcome := 'not_found';
        return;
    end if;
    update public.users u
    set attempts = (p_attempt || u.attempts)[1:8],
        attempts_evicted = greatest(u.attempts_evicted, u.attempts[8]),
        updated_at = v_now
    where u.id = p_user_id;
    -- The user's first write of this day.
    if v_updated_at::date < v_now::date then
        perform task_api_functions.record_use();
    end if;
end
$$;

grant execute on function task_api_functions.delete_task to task_api_endpoints;
