-- Lists of tasks.

-- Returns a page of a user's tasks, with one task more than p_limit if there are more. Every row has the
-- list's version, the time when the list was begun, and the number of tasks on all pages. An empty page is
-- one row without a task. outcome:
--   done
--   known  the list's version is one of the known ones
--   gone   the list of the cursor has been erased
--   busy   another list of the user with filters or a sort is still running
create function task_api_functions.list_tasks(
    p_user_id text,
    p_completed boolean,                -- these six filter; null: no condition
    p_priority text,
    p_tag text,
    p_search text,
    p_due_after timestamptz,
    p_due_before timestamptz,
    p_sort text,                        -- created_at, updated_at, due_date, title or priority; null: creation
    p_descending boolean,
    p_limit bigint,
    p_offset bigint,
    p_begun_at timestamptz,             -- when the cursor's list was begun; null: no cursor
    p_after_number bigint,              -- this and the next two: number and sort values of the cursor's task
    p_after_time timestamptz,
    p_after_text text,                  -- the title, or 1, 2 or 3 for the priority
    p_known_revisions bigint[],         -- with the next parameter, known versions. A null element: any
    p_known_times timestamptz[]
)
returns table (
    outcome text, list_revision bigint, list_updated_at timestamptz, list_begun_at timestamptz, total bigint,
    task public.tasks
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
    select u.revision, u.updated_at, u.created_at, u.task_count
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

    if num_nonnulls(p_sort, p_completed, p_priority, p_tag, p_search, p_due_after, p_due_before) > 0 then
        if not task_api_functions.take_turn(p_user_id) then
            outcome := 'busy';
            return next;
            return;
        end if;
        select f.total, f.numbers
        into total, v_numbers
        from task_api_functions.find_matching(
            p_user_id, p_completed, p_priority, p_tag, p_search, p_due_after, p_due_before, p_sort, p_descending,
            p_limit, p_offset, p_after_number, p_after_time, p_after_text
        ) f;
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
        select outcome, list_revision, list_updated_at, list_begun_at, total, t
        from unnest(v_numbers) with ordinality as page (number, place)
        join public.tasks t on t.number = page.number
        where t.user_id = p_user_id
        order by page.place;
    elsif p_descending then
        return query
        select outcome, list_revision, list_updated_at, list_begun_at, total, t
        from public.tasks t
        where t.user_id = p_user_id
          and t.number < coalesce(p_after_number, 9223372036854775807)
        order by t.number desc
        limit p_limit + 1;
    else
        return query
        select outcome, list_revision, list_updated_at, list_begun_at, total, t
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

-- Waits for at most a second until no other session finds tasks for the user. Returns whether it is the
-- caller's turn, which ends with its transaction.
create function task_api_functions.take_turn(p_user_id text)
returns boolean language plpgsql
set lock_timeout = '1s'
as $$
begin
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_user_id, 1));
    return true;
exception
    when lock_not_available then
        return false;
end
$$;

-- Raises an error that is answered with 503.
create function task_api_functions.reject_slow_list()
returns boolean language plpgsql
as $$
begin
    raise configuration_limit_exceeded using message = 'the list took longer than 2 s';
end
$$;

-- Finds the tasks of a user that match the filters: returns the numbers of a page of them, with one more if
-- there are more, and how many match in total. Reads each of the user's tasks once. The parameters are those
-- of list_tasks.
create function task_api_functions.find_matching(
    p_user_id text,
    p_completed boolean,
    p_priority text,
    p_tag text,
    p_search text,
    p_due_after timestamptz,
    p_due_before timestamptz,
    p_sort text,
    p_descending boolean,
    p_limit bigint,
    p_offset bigint,
    p_after_number bigint,
    p_after_time timestamptz,
    p_after_text text,
    out total bigint,
    out numbers bigint[]
)
language plpgsql stable
as $$
declare
    v_search text := task_api_functions.lower_case(p_search);
    v_tag text := task_api_functions.lower_case(p_tag);
    -- Every order compares four values: a time, the title in lower case (or a digit for the priority), the
    -- title, and a place. All are ascending or all descending. Values that the order doesn't sort by are the
    -- same for all tasks.
    v_last timestamptz := case when p_descending then '-infinity' else 'infinity' end;  -- after all dates
    v_older_first bigint := case when p_descending and p_sort is not null then -1 else 1 end;
    v_after_time timestamptz := coalesce(p_after_time, v_last);
    v_after_lower text := coalesce(task_api_functions.lower_case(p_after_text), '');
    v_after_title text := case p_sort when 'title' then coalesce(p_after_text, '') else '' end;
    v_after_place bigint := v_older_first * p_after_number;
    v_end timestamptz := clock_timestamp() + interval '2 s';
    -- A text of ASCII characters alone contains no other text.
    v_search_is_ascii boolean := octet_length(v_search) = char_length(v_search);
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
               case p_sort
                   when 'title' then task_api_functions.lower_case(t.title)
                   when 'priority' then case t.priority when 'low' then '1' when 'medium' then '2' else '3' end
                   else ''
               end collate "C" as lower,
               case p_sort when 'title' then t.title else '' end collate "C" as title,
               v_older_first * t.number as place,
               t.number
        from public.tasks t
        where t.user_id = p_user_id
          and (p_completed is null or t.completed = p_completed)
          and (p_priority is null or t.priority = p_priority)
          and (p_tag is null or exists (
              select from unnest(t.tags) as tag where task_api_functions.lower_case(tag) = v_tag
          ))
          and (p_due_after is null or t.due_date >= p_due_after)
          and (p_due_before is null or t.due_date < p_due_before)
          and case
              when clock_timestamp() > v_end then task_api_functions.reject_slow_list()
              when p_search is null then true
              else (v_search_is_ascii or octet_length(t.title) > char_length(t.title))
                      and strpos(task_api_functions.lower_case(t.title), v_search) > 0
                  or (v_search_is_ascii or octet_length(t.description) > char_length(t.description))
                      and strpos(task_api_functions.lower_case(t.description), v_search) > 0
          end
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

-- Converts text to lower case by Unicode's rules, independently of the database's collation. Two letters are
-- replaced so that the result never depends on the server or on neighboring letters: İ becomes i and a
-- combining dot, and a final sigma becomes a normal one. So a search also finds text in the middle of a
-- longer one.
do $do$
declare
    -- PostgreSQL's own collation, which exists from version 17; before that, the one of its ICU library.
    v_collation text := coalesce(
        (
            select quote_ident(c.collname)
            from pg_catalog.pg_collation c
            where c.collname = 'pg_c_utf8'
              and c.collnamespace = 'pg_catalog'::regnamespace
        ),
        '"und-x-icu"'
    );
begin
    execute format(
        $format$
            create function task_api_functions.lower_case(p_text text)
            returns text language sql immutable
            return case
                -- Most texts are ASCII, for which the rules of Unicode are those of C.
                when pg_catalog.octet_length(p_text) = pg_catalog.char_length(p_text)
                then pg_catalog.lower(p_text collate pg_catalog."C") collate pg_catalog."default"
                else pg_catalog.replace(
                    pg_catalog.lower(pg_catalog.replace(p_text, U&'\0130', U&'i\0307') collate pg_catalog.%s),
                    U&'\03C2', U&'\03C3'
                ) collate pg_catalog."default"
            end;
        $format$,
        v_collation
    );
end
$do$;
