-- Returns a task, identified by its id or its number. outcome: done; not_found; known (its version is one of
-- the known ones; title and description are null).
create function task_api_functions.get_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_known_revisions bigint[],         -- with the next: the client's versions; a null element matches any
    p_known_times timestamptz[],
    out outcome text,
-- include: task_columns
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
begin
-- include: find_id
    select 'done', t.id, t.number, t.user_id, t.title, t.description, t.due_date, t.completed, t.completed_at,
           t.created_at, t.updated_at, t.revision
    into outcome, id, number, user_id, title, description, due_date, completed, completed_at, created_at, updated_at,
         revision
    from public.tasks t
    where t.user_id = p_user_id
      and t.id = p_id;
    if not found then
        outcome := 'not_found';
    elsif p_known_revisions is not null
        and task_api_functions.is_among(revision, updated_at, p_known_revisions, p_known_times)
    then
        outcome := 'known';
        title := null;
        description := null;
    end if;
end
$$;

grant execute on function task_api_functions.get_task to task_api_endpoints;
