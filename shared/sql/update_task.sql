-- Changes a task, by its id or its number. outcome: done; deleted (an earlier attempt changed the task, and it was
-- deleted since); not_found; void; unknown.
create function task_api_functions.update_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_title text,                       -- null keeps it
    p_set_description boolean,
    p_description text,
    p_set_due_date boolean,
    p_due_date timestamptz,
    p_completed boolean,                -- null keeps it, or toggles it
    p_toggle boolean,
    p_attempt uuid,                     -- as the next two: see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text, out id uuid, out number bigint, out user_id text, out title text, out description text,
    out due_date timestamptz, out completed boolean, out completed_at timestamptz,
    out created_at timestamptz, out updated_at timestamptz
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
    if outcome = 'done' then
        -- The first attempt carried it out: the task as it is now.
        select case g.outcome when 'done' then 'done' else 'deleted' end, g.id, g.number, g.user_id, g.title,
               g.description, g.due_date, g.completed, g.completed_at, g.created_at, g.updated_at
        into outcome, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at
        from task_api_functions.get_task(p_user_id, p_id, p_number) g;
        return;
    elsif outcome is not null then
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
    update public.tasks t
    set title = coalesce(p_title, t.title),
        description = case when p_set_description then p_description else t.description end,
        due_date = case when p_set_due_date then p_due_date else t.due_date end,
        completed = coalesce(p_completed, t.completed <> p_toggle),
        completed_at = case
            when coalesce(p_completed, t.completed <> p_toggle) then coalesce(t.completed_at, v_now)
        end,
        updated_at = greatest(t.updated_at, v_now)
    where t.user_id = p_user_id
      and t.id = p_id
    returning 'done', t.id, t.number, t.user_id, t.title, t.description, t.due_date, t.completed,
              t.completed_at, t.created_at, t.updated_at
    into outcome, id, number, user_id, title, description, due_date, completed,
         completed_at, created_at, updated_at;
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

grant execute on function task_api_functions.update_task to task_api_endpoints;
