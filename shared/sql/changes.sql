-- Returns the changes of a user's list in the order of revisions, with one more than p_limit if there are
-- more. Every row has the list's revision and the time of its last change, and either a deletion or a task.
-- Without changes there is one row with neither. outcome:
--   done
--   gone  some deletions since then are no longer known
create function task_api_functions.list_changes(
    p_user_id text,
    p_revision bigint,                  -- return changes after this revision; null: all tasks, for a new copy
    p_copied_from bigint,               -- the list's revision when the client's copy was begun
    p_list_updated_at timestamptz,      -- the time of the list's last change in the previous response
    p_limit bigint
)
returns table (
    outcome text, list_revision bigint, list_updated_at timestamptz,
    deleted public.deleted_tasks, task public.tasks
)
-- Stable, so that all statements use one snapshot.
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_changes_from bigint;
begin
    outcome := 'done';
    select u.revision, u.updated_at, u.changes_from
    into list_revision, list_updated_at, v_changes_from
    from public.users u
    where u.id = p_user_id;
    if p_revision is null then
        p_revision := 0;
        p_copied_from := list_revision;
    elsif not found
        or greatest(p_revision, p_copied_from) not between v_changes_from and list_revision
        -- The same revision with another time: the database was restored to an earlier point.
        or p_revision = list_revision and p_list_updated_at <> list_updated_at
    then
        outcome := 'gone';
        return next;
        return;
    elsif p_revision = list_revision then
        -- Nothing has changed, so the tasks need not be read.
        return next;
        return;
    end if;

    return query
    select outcome, list_revision, list_updated_at, c.deleted, c.task
    from (
        (
            select t.revision, null::public.deleted_tasks, t
            from public.tasks t
            where t.user_id = p_user_id
              and t.revision > p_revision
            order by t.revision
            limit p_limit + 1
        )
        union all
        (
            select d.revision, d, null::public.tasks
            from public.deleted_tasks d
            where d.user_id = p_user_id
              and d.revision > greatest(p_revision, p_copied_from)
            order by d.revision
            limit p_limit + 1
        )
    ) as c (revision, deleted, task)
    order by c.revision
    limit p_limit + 1;
    if not found then
        return next;
    end if;
end
$$;

grant execute on function task_api_functions.list_changes to task_api_endpoints;
