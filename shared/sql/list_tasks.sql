-- Returns a page of a user's tasks, with one task more than p_limit if there are more. Every row has the
-- list's version, the time when the list was begun, and the number of tasks on all pages. An empty page is
-- one row without a task. outcome: done; known (the list's version is one of the known ones); gone (the list
-- of the cursor has been erased).
create function task_api_functions.list_tasks(
    p_user_id text,
    p_completed boolean,                -- these four filter; null: no condition
    p_search text,
    p_due_after timestamptz,
    p_due_before timestamptz,
    p_sort text,                        -- created_at, updated_at, due_date or title; null: order of creation
    p_descending boolean,
    p_limit bigint,
    p_offset bigint,
    p_begun_at timestamptz,             -- when the cursor's list was begun; null: no cursor
    p_after_number bigint,              -- this and the next two: number and sort values of the cursor's task
    p_after_time timestamptz,
    p_after_title text,
    p_known_revisions bigint[],         -- with the next parameter, known versions. A null element: any
    p_known_times timestamptz[]
)
returns table (
    outcome text, list_revision bigint, list_updated_at timestamptz, list_begun_at timestamptz, total bigint,
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
    v_numbers bigint[];
begin
    outcome := 'done';
    -- The stored count is valid only if the last write maintained it; otherwise null.
    select u.revision, u.updated_at, u.created_at,
           case when u.attempts[1] is not distinct from u.revised_by then u.task_count end
    into list_revision, list_updated_at, list_begun_at, total
    from public.users u
    where u.id = p_user_id;
    if not found then
        list_revision := 0;
        list_updated_at := 'epoch';
        total := 0;
    end if;
    if p_begun_at <> list_begun_at or p_begun_at is not null and list_begun_at is null then
        outcome := 'gone';
    elsif p_known_revisions is not null
        and task_api_functions.is_among(list_revision, list_updated_at, p_known_revisions, p_known_times)
    then
        outcome := 'known';
    end if;
    if outcome <> 'done' then
        return next;
        return;
    end if;

    if p_sort is not null or p_completed is not null or p_search is not null
        or p_due_after is not null or p_due_before is not null
    then
        select f.total, f.numbers
        into total, v_numbers
        from task_api_functions.find_matching(
            p_user_id, p_completed, p_search, p_due_after, p_due_before, p_sort, p_descending, p_limit, p_offset,
            p_after_number, p_after_time, p_after_title
        ) f;
    elsif total is null then
        select count(*) into total
        from public.tasks t
        where t.user_id = p_user_id;
    end if;
    if v_numbers is null and p_descending and p_offset > 0 then
        -- Finds the numbers first, so that the skipped tasks are read from the index alone.
        v_numbers := array(
            select t.number
            from public.tasks t
            where t.user_id = p_user_id
            order by t.number desc
            limit p_limit + 1 offset p_offset
        );
    end if;

    if v_numbers is not null then
        return query
        select outcome, list_revision, list_updated_at, list_begun_at, total,
               t.id, t.number, t.user_id, t.title::text, t.description::text, t.due_date, t.completed,
               t.completed_at, t.created_at, t.updated_at, t.revision
        from unnest(v_numbers) with ordinality as page (number, place)
        join public.tasks t on t.number = page.number
        where t.user_id = p_user_id
        order by page.place;
    elsif p_descending then
        return query
        select outcome, list_revision, list_updated_at, list_begun_at, total,
               t.id, t.number, t.user_id, t.title::text, t.description::text, t.due_date, t.completed,
               t.completed_at, t.created_at, t.updated_at, t.revision
        from public.tasks t
        where t.user_id = p_user_id
          and t.number < coalesce(p_after_number, 9223372036854775807)
        order by t.number desc
        limit p_limit + 1;
    else
        return query
        select outcome, list_revision, list_updated_at, list_begun_at, total,
               t.id, t.number, t.user_id, t.title::text, t.description::text, t.due_date, t.completed,
               t.completed_at, t.created_at, t.updated_at, t.revision
        from public.tasks t
        where t.user_id = p_user_id
          and t.number > coalesce(p_after_number, 0)
        order by t.number
        limit p_limit + 1 offset p_offset;
    end if;
    if not found then
        return next;
    end if;
end
$$;

grant execute on function task_api_functions.list_tasks to task_api_endpoints;
