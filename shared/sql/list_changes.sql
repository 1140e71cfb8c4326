-- Returns the changes of a user's list in the order of revisions, with one more than p_limit if there are
-- more. Every row has the list's revision and the time of its last change. Without changes there is one row,
-- without a task. outcome: done; gone (some deletions since then are no longer known).
create function task_api_functions.list_changes(
    p_user_id text,
    p_revision bigint,                  -- return changes after this revision; null: all tasks, for a new copy
    p_number bigint,                    -- among changes with p_revision, those after this number
    p_copied_from bigint,               -- the list's revision when the client's copy was begun
    p_list_updated_at timestamptz,      -- the time of the list's last change in the previous response
    p_limit bigint
)
returns table (
    outcome text, list_revision bigint, list_updated_at timestamptz, is_deleted boolean,
    id uuid, number bigint, user_id text, title text, description text,
    due_date timestamptz, completed boolean, completed_at timestamptz,
    created_at timestamptz, updated_at timestamptz, revision bigint
)
-- Stable, so that all statements use one snapshot.
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_changes_from bigint;
    v_is_stale boolean;
begin
    outcome := 'done';
    select u.revision, u.updated_at, u.changes_from, u.attempts[1] is distinct from u.revised_by
    into list_revision, list_updated_at, v_changes_from, v_is_stale
    from public.users u
    where u.id = p_user_id;
    if p_revision is null then
        p_revision := 0;
        p_number := 0;
        p_copied_from := list_revision;
    elsif not found
        or greatest(p_revision, p_copied_from) not between v_changes_from and list_revision
        -- The same revision with another time: a version of the code without revisions wrote, or the database
        -- was restored.
        or (v_is_stale or p_revision = list_revision) and p_list_updated_at <> list_updated_at
    then
        outcome := 'gone';
        return next;
        return;
    elsif p_revision = list_revision and list_revision > 0 then
        -- Nothing has changed, so the tasks need not be read. The revision 0 is excluded because all tasks
        -- that have not changed since the column was added share it.
        return next;
        return;
    end if;

    return query
    select 'done', list_revision, list_updated_at, c.*
    from (
        (
            select false, t.id, t.number, t.user_id::text, t.title::text, t.description::text, t.due_date,
                   t.completed, t.completed_at, t.created_at, t.updated_at, t.revision
            from public.tasks t
            where t.user_id = p_user_id
              and (t.revision, t.number) > (p_revision, p_number)
            order by t.revision, t.number
            limit p_limit + 1
        )
        union all
        (
            select true, d.id, d.number, null, null, null, null, null, null, null, null, d.revision
            from public.deleted_tasks d
            where d.user_id = p_user_id
              and d.revision > greatest(p_revision, p_copied_from)
            order by d.revision
            limit p_limit + 1
        )
    ) as c (is_deleted, id, number, user_id, title, description, due_date, completed, completed_at, created_at,
            updated_at, revision)
    order by c.revision, c.number
    limit p_limit + 1;
    if not found then
        return next;
    end if;
end
$$;

grant execute on function task_api_functions.list_changes to task_api_endpoints;
