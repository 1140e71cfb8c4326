-- One task. The outcomes of a write, besides done, are described at begin_write.

-- Returns a task, identified by its id or its number. outcome:
--   done       (task)
--   known      its version is one of the known ones (task)
--   not_found
create function task_api_functions.get_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_known_revisions bigint[],         -- with the next: the client's versions; a null element matches any
    p_known_times timestamptz[],
    out outcome text,
    out task public.tasks
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
begin
    if p_id is null then
        select t.* into task from public.tasks t where t.user_id = p_user_id and t.number = p_number;
    else
        select t.* into task from public.tasks t where t.user_id = p_user_id and t.id = p_id;
    end if;
    outcome := case
        when not found then 'not_found'
        when p_known_revisions is not null and task_api_functions.is_among(
            task.revision, task.updated_at, p_known_revisions, p_known_times
        ) then 'known'
        else 'done'
    end;
end
$$;

-- Creates a task. A user's first task also creates the user's row. outcome:
--   done      (task)
--   replayed, deleted, conflict, limited, full, void, unknown
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
    p_due_all_day boolean,
    p_priority text,
    p_tags text[],
    p_completed boolean,
    p_tasks_per_user integer,
    p_idempotency_key text,
    p_idempotency_hash bytea,           -- hash of the request that has the key
    p_writes_per_minute integer,        -- 0: no limit
    p_attempt uuid,                     -- for this and the next two, see writes.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text,
    out written_at timestamptz,
    out budget_since timestamptz,       -- the write budget has accrued from this time to written_at
    out task public.tasks
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_write record;
begin
    loop
        v_write := task_api_functions.begin_write(
            p_user_id => p_user_id, p_is_write => true, p_added => 1, p_tasks_per_user => p_tasks_per_user,
            p_id => p_id, p_number => null, p_expected_revisions => null, p_expected_times => null,
            p_idempotency_key => p_idempotency_key, p_idempotency_hash => p_idempotency_hash,
            p_writes_per_minute => p_writes_per_minute,
            p_attempt => p_attempt, p_is_retry => p_is_retry, p_void_after => p_void_after
        );
        outcome := v_write.outcome;
        exit when outcome is distinct from 'no_user';
        outcome := task_api_functions.create_user(
            p_user_id, p_email, p_name, p_image, p_email_verified, p_attempt, p_is_retry, p_void_after
        );
        if outcome is not null then
            return;
        end if;
    end loop;
    written_at := v_write.written_at;
    budget_since := v_write.budget_since;
    if outcome is not null then
        task := v_write.task;
        return;
    end if;
    insert into public.tasks as t (
        id, revision, updated_at, user_id, title, description, due_date, due_all_day, priority, tags,
        completed, completed_at, created_at
    )
    values (
        p_id, v_write.revision, written_at, p_user_id, p_title, p_description, p_due_date, p_due_all_day, p_priority,
        p_tags, p_completed, case when p_completed then written_at end, written_at
    )
    returning t.* into task;
    outcome := 'done';
end
$$;

-- Changes a task, identified by its id or its number. Without changes it returns the task and doesn't count
-- as a write. outcome:
--   done      (task)
--   replayed, deleted, conflict, limited, not_found, changed, void, unknown
create function task_api_functions.update_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_title text,                       -- null: unchanged
    p_set_description boolean,
    p_description text,
    p_set_due_date boolean,
    p_due_date timestamptz,
    p_due_all_day boolean,
    p_priority text,                    -- null: unchanged
    p_tags text[],                      -- null: unchanged
    p_completed boolean,                -- null: unchanged, or toggled if p_toggle
    p_toggle boolean,
    p_expected_revisions bigint[],      -- with the next parameter, the versions to change; null: any
    p_expected_times timestamptz[],
    p_idempotency_key text,             -- this and what follows as for create_task
    p_idempotency_hash bytea,
    p_writes_per_minute integer,
    p_attempt uuid,
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text,
    out written_at timestamptz,
    out budget_since timestamptz,
    out task public.tasks
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_write record;
begin
    v_write := task_api_functions.begin_write(
        p_user_id => p_user_id,
        p_is_write => p_title is not null or p_set_description or p_set_due_date or p_priority is not null
            or p_tags is not null or p_completed is not null or p_toggle,
        p_added => 0, p_tasks_per_user => null, p_id => p_id, p_number => p_number,
        p_expected_revisions => p_expected_revisions, p_expected_times => p_expected_times,
        p_idempotency_key => p_idempotency_key, p_idempotency_hash => p_idempotency_hash,
        p_writes_per_minute => p_writes_per_minute,
        p_attempt => p_attempt, p_is_retry => p_is_retry, p_void_after => p_void_after
    );
    written_at := v_write.written_at;
    budget_since := v_write.budget_since;
    if v_write.outcome is not null then
        outcome := case v_write.outcome
            when 'nothing' then 'done'
            when 'no_user' then 'not_found'
            else v_write.outcome
        end;
        task := v_write.task;
        return;
    end if;
    update public.tasks t
    set revision = v_write.revision,
        updated_at = greatest(t.updated_at, written_at),
        title = coalesce(p_title, t.title),
        description = case when p_set_description then p_description else t.description end,
        due_date = case when p_set_due_date then p_due_date else t.due_date end,
        due_all_day = case when p_set_due_date then p_due_all_day else t.due_all_day end,
        priority = coalesce(p_priority, t.priority),
        tags = coalesce(p_tags, t.tags),
        completed = coalesce(p_completed, t.completed <> p_toggle),
        completed_at = case
            when coalesce(p_completed, t.completed <> p_toggle) then coalesce(t.completed_at, written_at)
        end
    where t.user_id = p_user_id
      and t.id = v_write.p_id
    returning t.* into task;
    outcome := 'done';
end
$$;

-- Deletes a task, identified by its id or its number. outcome:
--   done      (task, unless an earlier attempt deleted it)
--   replayed, conflict, limited, not_found, changed, void, unknown
create function task_api_functions.delete_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_expected_revisions bigint[],      -- with the next parameter, the versions to delete; null: any
    p_expected_times timestamptz[],
    p_idempotency_key text,             -- this and what follows as for create_task
    p_idempotency_hash bytea,
    p_writes_per_minute integer,
    p_attempt uuid,
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text,
    out written_at timestamptz,
    out budget_since timestamptz,
    out task public.tasks
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_write record;
begin
    v_write := task_api_functions.begin_write(
        p_user_id => p_user_id, p_is_write => true, p_added => -1, p_tasks_per_user => null,
        p_id => p_id, p_number => p_number,
        p_expected_revisions => p_expected_revisions, p_expected_times => p_expected_times,
        p_idempotency_key => p_idempotency_key, p_idempotency_hash => p_idempotency_hash,
        p_writes_per_minute => p_writes_per_minute,
        p_attempt => p_attempt, p_is_retry => p_is_retry, p_void_after => p_void_after
    );
    written_at := v_write.written_at;
    budget_since := v_write.budget_since;
    if v_write.outcome is not null then
        outcome := case v_write.outcome when 'no_user' then 'not_found' else v_write.outcome end;
        task := v_write.task;
        return;
    end if;
    delete from public.tasks t
    where t.user_id = p_user_id
      and t.id = v_write.p_id
    returning t.* into task;
    insert into public.deleted_tasks (user_id, revision, id, number, deleted_at)
    values (p_user_id, v_write.revision, task.id, task.number, written_at);
    outcome := 'done';
end
$$;

grant execute on function task_api_functions.get_task to task_api_endpoints;
grant execute on function task_api_functions.create_task to task_api_endpoints;
grant execute on function task_api_functions.update_task to task_api_endpoints;
grant execute on function task_api_functions.delete_task to task_api_endpoints;
