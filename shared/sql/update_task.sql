-- Changes a task, identified by its id or its number. Without changes it returns the task and doesn't count
-- as a write. outcome: done; replayed (an earlier request with the key changed the task); conflict (the key
-- was used with a different request); limited (too many writes); not_found; changed (the task's version is
-- none of the expected ones; returns the version); deleted (an earlier request or attempt changed the task,
-- and it has been deleted since); void (not carried out: too late); unknown (an earlier attempt may have been
-- carried out).
create function task_api_functions.update_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_title text,                       -- null: unchanged
    p_set_description boolean,
    p_description text,
    p_set_due_date boolean,
    p_due_date timestamptz,
    p_completed boolean,                -- null: unchanged, or toggled if p_toggle
    p_toggle boolean,
    p_expected_revisions bigint[],      -- with the next parameter, the versions to change; null: any
    p_expected_times timestamptz[],
-- include: write_parameters
    ,
-- include: task_columns
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
-- include: write_variables
    v_is_write boolean := p_title is not null or p_set_description or p_set_due_date or p_completed is not null
        or p_toggle;
begin
-- include: lock_user
    if not found then
        -- A user without a row has no tasks.
        outcome := 'not_found';
        return;
    end if;
    if not v_is_write then
        p_writes_per_minute := 0;
    end if;
-- include: judge_write
    if outcome = 'replayed' and (v_key_id <> p_id or v_key_number <> p_number) then
        outcome := 'conflict';
    elsif outcome in ('done', 'replayed') then
        -- Returns the task's current state.
        select case g.outcome when 'done' then update_task.outcome else 'deleted' end, g.id, g.number, g.user_id,
               g.title, g.description, g.due_date, g.completed, g.completed_at, g.created_at, g.updated_at, g.revision
        into outcome, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at, revision
        from task_api_functions.get_task(p_user_id, p_id, p_number, null, null) g;
    end if;
    if outcome is not null then
        return;
    end if;
-- include: find_id
-- include: check_version
    if not v_is_write then
        select g.outcome, g.id, g.number, g.user_id, g.title, g.description, g.due_date, g.completed,
               g.completed_at, g.created_at, g.updated_at, g.revision
        into outcome, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at, revision
        from task_api_functions.get_task(p_user_id, p_id, null, null, null) g;
        return;
    end if;
    v_revision := v_revision + 1;
    update public.tasks t
    set title = coalesce(p_title, t.title),
        description = case when p_set_description then p_description else t.description end,
        due_date = case when p_set_due_date then p_due_date else t.due_date end,
        completed = coalesce(p_completed, t.completed <> p_toggle),
        completed_at = case
            when coalesce(p_completed, t.completed <> p_toggle) then coalesce(t.completed_at, written_at)
        end,
        updated_at = greatest(t.updated_at, written_at),
        revision = v_revision
    where t.user_id = p_user_id
      and t.id = p_id
    returning 'done', t.id, t.number, t.user_id, t.title, t.description, t.due_date, t.completed,
              t.completed_at, t.created_at, t.updated_at, t.revision
    into outcome, id, number, user_id, title, description, due_date, completed,
         completed_at, created_at, updated_at, revision;
    if not found then
        outcome := 'not_found';
        return;
    end if;
-- include: record_write
end
$$;

grant execute on function task_api_functions.update_task to task_api_endpoints;
