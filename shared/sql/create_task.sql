-- Creates a task. A user's first task also creates the user's row. outcome: done; replayed (an earlier
-- request with the key created the task); conflict (the key was used with a different request); limited (too
-- many writes); full (too many tasks); deleted (an earlier request or attempt created the task, and it has
-- been deleted since); void (not carried out: too late); unknown (an earlier attempt may have been carried
-- out).
create function task_api_functions.create_task(
    p_user_id text,
    p_email text,                       -- this and the next three describe the user
    p_name text,
    p_image text,
    p_email_verified boolean,
    p_id uuid,
    p_title text,
    p_description text,
    p_due_date timestamptz,
    p_completed boolean,
    p_tasks_per_user integer,
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
begin
    loop
-- include: lock_user
        exit when found;

        outcome := task_api_functions.create_user(
            p_user_id, p_email, p_name, p_image, p_email_verified, p_attempt, p_is_retry, p_void_after
        );
        if outcome is not null then
            return;
        end if;
    end loop;
-- include: judge_write
    if outcome in ('done', 'replayed') then
        -- Returns the task's current state.
        select case g.outcome when 'done' then create_task.outcome else 'deleted' end, g.id, g.number, g.user_id,
               g.title, g.description, g.due_date, g.completed, g.completed_at, g.created_at, g.updated_at, g.revision
        into outcome, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at, revision
        from task_api_functions.get_task(p_user_id, coalesce(v_key_id, p_id), null, null, null) g;
    elsif outcome is null and v_task_count >= p_tasks_per_user then
        outcome := 'full';
    end if;
    if outcome is not null then
        return;
    end if;

    v_revision := v_revision + 1;
    v_task_count := v_task_count + 1;
    insert into public.tasks as t (
        id, user_id, title, description, due_date, completed, completed_at,
        created_at, updated_at, revision, idempotency_key, idempotency_hash
    )
    values (
        p_id, p_user_id, p_title, p_description, p_due_date, p_completed, case when p_completed then written_at end,
        written_at, written_at, v_revision, p_idempotency_key, p_idempotency_hash
    )
    returning 'done', t.id, t.number, t.user_id, t.title, t.description, t.due_date, t.completed,
              t.completed_at, t.created_at, t.updated_at, t.revision
    into outcome, id, number, user_id, title, description, due_date, completed,
         completed_at, created_at, updated_at, revision;
-- include: record_write
end
$$;

grant execute on function task_api_functions.create_task to task_api_endpoints;
