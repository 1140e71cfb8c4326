-- Finds the tasks of a user that match the filters: returns the numbers of a page of them, with one more if
-- there are more, and how many match in total. Reads each of the user's tasks once. The parameters are those
-- of list_tasks.
create function task_api_functions.find_matching(
    p_user_id text,
    p_completed boolean,
    p_search text,
    p_due_after timestamptz,
    p_due_before timestamptz,
    p_sort text,
    p_descending boolean,
    p_limit bigint,
    p_offset bigint,
    p_after_number bigint,
    p_after_time timestamptz,
    p_after_title text,
    out total bigint,
    out numbers bigint[]
)
language plpgsql stable
as $$
declare
    v_search text := task_api_functions.lower_case(p_search);
    -- Every order compares four values: a time, the title in lower case, the title, and a place. All are
    -- ascending or all descending. Values that the order doesn't sort by are the same for all tasks.
    v_last timestamptz := case when p_descending then '-infinity' else 'infinity' end;  -- after all dates
    v_older_first bigint := case when p_descending and p_sort is not null then -1 else 1 end;
    v_after_time timestamptz := coalesce(p_after_time, v_last);
    v_after_lower text := coalesce(task_api_functions.lower_case(p_after_title), '');
    v_after_title text := coalesce(p_after_title, '');
    v_after_place bigint := v_older_first * p_after_number;
begin
    with matching as materialized (
        select coalesce(
                   case p_sort
                       when 'created_at' then t.created_at
                       when 'updated_at' then t.updated_at
                       when 'due_date' then t.due_date
                   end,
                   v_last
               ) as time,
               case p_sort when 'title' then task_api_functions.lower_case(t.title) else '' end collate "C" as lower,
               case p_sort when 'title' then t.title else '' end collate "C" as title,
               v_older_first * t.number as place,
               t.number
        from public.tasks t
        where t.user_id = p_user_id
          and (p_completed is null or t.completed = p_completed)
          and (p_due_after is null or t.due_date >= p_due_after)
          and (p_due_before is null or t.due_date < p_due_before)
          and (p_search is null
               or strpos(task_api_functions.lower_case(t.title), v_search) > 0
               or strpos(task_api_functions.lower_case(t.description), v_search) > 0)
    )
    select count(*),
           case
               when p_descending then array(
                   select m.number
                   from matching m
                   where p_after_number is null
                      or (m.time, m.lower, m.title, m.place)
                         < (v_after_time, v_after_lower, v_after_title, v_after_place)
                   order by m.time desc, m.lower desc, m.title desc, m.place desc
                   limit p_limit + 1 offset p_offset
               )
               else array(
                   select m.number
                   from matching m
                   where p_after_number is null
                      or (m.time, m.lower, m.title, m.place)
                         > (v_after_time, v_after_lower, v_after_title, v_after_place)
                   order by m.time, m.lower, m.title, m.place
                   limit p_limit + 1 offset p_offset
               )
           end
    into total, numbers
    from matching;
end
$$;
