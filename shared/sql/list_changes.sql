-- What has changed in a user's list, in the order of revisions, with one change more than p_limit if there are more.
-- Every row has the list's own revision, the time of its last change and its head fields; without a change there is one
-- row, with no task. outcome: done; gone (what was deleted since is not known any more).
create function task_api_functions.list_changes(
    p_user_id text,
    p_revision bigint,                  -- the changes after this revision, and after the next one among those that
    p_number bigint,                    -- share it; null: all tasks, as for a new copy
    p_copied_from bigint,               -- the list's revision when the copy was begun
    p_list_updated_at timestamptz,      -- when the list was last changed as seen by the request before
    p_limit bigint
)
returns table (
    outcome text, list_revision bigint, list_updated_at timestamptz, is_deleted boolean,
    id uuid, number bigint, user_id text, title text, description text,
    due_date timestamptz, completed boolean, completed_at timestamptz,
    created_at timestamptz, updated_at timestamptz, revision bigint
)
-- Stable, so that everything is of one snapshot.
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
        -- The same revision at another time: code without revisions wrote, or the database was restored.
        or (v_is_stale or p_revision = list_revision) and p_list_updated_at <> list_updated_at
    then
        outcome := 'gone';
        return next;
        return;
    elsif p_revision = list_revision and list_revision > 0 then
        -- Nothing has changed, which takes no look at the tasks. Those that have not changed since revisions exist share
        -- the revision 0.
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
