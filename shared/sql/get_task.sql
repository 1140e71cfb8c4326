-- One task, by its id or its number. outcome: done, not_found.
create function task_api_functions.get_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    out outcome text, out id uuid, out number bigint, out user_id text, out title text, out description text,
    out due_date timestamptz, out completed boolean, out completed_at timestamptz,
    out created_at timestamptz, out updated_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
begin
    if p_id is null then
        p_id := (
            select t.id
            from public.tasks t
            where t.user_id = p_user_id
              and t.number = p_number
        );
    end if;
    select 'done', t.id, t.number, t.user_id, t.title, t.description, t.due_date, t.completed, t.completed_at,
           t.created_at, t.updated_at
    into outcome, id, number, user_id, title, description, due_date, completed, completed_at, created_at, updated_at
    from public.tasks t
    where t.user_id = p_user_id
      and t.id = p_id;
    if not found then
        outcome := 'not_found';
    end if;
end
$$;

grant execute on function task_api_functions.get_task to task_api_endpoints;
