-- A page of a user's tasks, with one task more if there are more. Newest first, it begins after p_offset tasks;
-- otherwise it is in the order of creation and begins after the task with the number p_after. total, in every row,
-- counts all of the user's tasks. An empty page is one row without a task.
create function task_api_functions.list_tasks(
    p_user_id text,
    p_newest_first boolean,
    p_limit bigint,
    p_offset bigint,
    p_after bigint
)
returns table (
    total bigint, id uuid, number bigint, user_id text, title text, description text,
    due_date timestamptz, completed boolean, completed_at timestamptz,
    created_at timestamptz, updated_at timestamptz, revision bigint
)
-- Stable, so that the total and the page are of one snapshot.
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
begin
    select count(*) into total
    from public.tasks t
    where t.user_id = p_user_id;

    if not p_newest_first then
        return query
        select total, t.id, t.number, t.user_id, t.title::text, t.description::text, t.due_date, t.completed,
               t.completed_at, t.created_at, t.updated_at, t.revision
        from public.tasks t
        where t.user_id = p_user_id
          and t.number > p_after
        order by t.number
        limit p_limit + 1;
    elsif p_offset < 1000 then
        return query
        select total, t.id, t.number, t.user_id, t.title::text, t.description::text, t.due_date, t.completed,
               t.completed_at, t.created_at, t.updated_at, t.revision
        from public.tasks t
        where t.user_id = p_user_id
        order by t.created_at desc, t.number desc
        limit p_limit + 1 offset p_offset;
    else
        -- A deep offset is skipped in the index alone, which costs a little more to start.
        return query
        select total, t.id, t.number, t.user_id, t.title::text, t.description::text, t.due_date, t.completed,
               t.completed_at, t.created_at, t.updated_at, t.revision
        from public.tasks t
        where t.user_id = p_user_id
          and t.number = any (array(
              select n.number
              from public.tasks n
              where n.user_id = p_user_id
              order by n.created_at desc, n.number desc
              limit p_limit + 1 offset p_offset
          ))
        order by t.created_at desc, t.number desc;
    end if;
    if not found then
        return next;
    end if;
end
$$;

grant execute on function task_api_functions.list_tasks to task_api_endpoints;
