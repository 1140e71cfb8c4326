-- Deletes a task, identified by its id or its number. outcome: done (returns the id, unless an earlier
-- attempt deleted the task); replayed (an earlier request with the key deleted it); conflict (the key was
-- used with a different request); limited (too many writes); not_found; changed (the task's version is none
-- of the expected ones; returns the version); void (not carried out: too late); unknown (an earlier attempt
-- may have been carried out).
create function task_api_functions.delete_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_expected_revisions bigint[],      -- with the next parameter, the versions to delete; null: any
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
begin
-- include: lock_user
    if not found then
        -- A user without a row has no tasks.
        outcome := 'not_found';
        return;
    end if;
-- include: judge_write
    if outcome = 'replayed' and (v_key_id <> p_id or v_key_number <> p_number) then
        outcome := 'conflict';
    end if;
    if outcome is not null then
        return;
    end if;
-- include: find_id
-- include: check_version
    delete from public.tasks t
    where t.user_id = p_user_id
      and t.id = p_id
    returning 'done', t.id, t.number
    into outcome, id, number;
    if not found then
        outcome := 'not_found';
        return;
    end if;
    v_revision := v_revision + 1;
    v_task_count := v_task_count - 1;
    insert into public.deleted_tasks (user_id, revision, id, number, deleted_at)
    values (p_user_id, v_revision, id, number, written_at);
-- include: record_write
end
$$;

grant execute on function task_api_functions.delete_task to task_api_endpoints;
