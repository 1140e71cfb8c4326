-- The functions of the release without revisions. Tests install them in the schema task_api_before, because
-- during a deployment they are called next to the newer functions.

-- Writes that are sent twice or arrive late.
--
-- If its connection breaks, an endpoint sends its write again without knowing whether the first attempt was
-- carried out. Both attempts have the same id (UUID version 7) and the same deadline. A user's row stores the
-- ids of the last writes that were carried out, and the ids of writes whose retry arrived first. Each write
-- checks both lists once it has locked the row.

-- Returns null if a retry must be carried out, otherwise its outcome. done: the first attempt was carried
-- out. void: the deadline has passed. unknown: the first attempt may have been carried out, but the row
-- stores only later attempts. The caller has locked the user's row.
create function task_api_before.judge_retry(p_user_id text, p_attempt uuid, p_void_after timestamptz)
returns text language plpgsql
as $$
declare
    v_carried_out boolean;
    v_forgotten boolean;
begin
    select p_attempt = any (u.attempts), p_attempt <= u.attempts_evicted
    into v_carried_out, v_forgotten
    from public.users u
    where u.id = p_user_id;
    if v_carried_out then
        return 'done';
    end if;
    -- The first attempt must not be carried out after this retry, whatever the retry's outcome. After the
    -- deadline the first attempt is void anyway; the additional minute allows for a clock that is set back.
    update public.users u
    set voided = p_attempt || case when u.voided_until > clock_timestamp() then u.voided else '{}' end,
        voided_until = greatest(u.voided_until, p_void_after + interval '1 minute')
    where u.id = p_user_id;
    return case when clock_timestamp() > p_void_after then 'void' when v_forgotten then 'unknown' end;
end
$$;
-- Creates a task, and with a user's first task the user's row. With an idempotency key, creates one task per
-- user and key until that task is deleted. outcome: done; replayed (the task that was created with the key);
-- conflict (the key was used with another hash); deleted (an earlier attempt created the task, and it was
-- deleted since); void; unknown.
create function task_api_before.create_task(
    p_user_id text,
    p_email text,                       -- as the next three: of the user; dropped if it can't be stored
    p_name text,
    p_image text,
    p_email_verified boolean,
    p_id uuid,
    p_title text,
    p_description text,
    p_due_date timestamptz,
    p_completed boolean,
    p_idempotency_key text,
    p_idempotency_hash bytea,
    p_attempt uuid,                     -- as the next two: see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text, out id uuid, out number bigint, out user_id text, out title text, out description text,
    out due_date timestamptz, out completed boolean, out completed_at timestamptz,
    out created_at timestamptz, out updated_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    -- A longer e-mail address doesn't fit into its index.
    v_email text := case when octet_length(p_email) <= 2600 then p_email end;
    v_known boolean;
    v_updated_at timestamptz;
    v_now timestamptz;
    v_hash bytea;
begin
    loop
        select p_attempt = any (u.attempts || u.voided), u.updated_at
        into v_known, v_updated_at
        from public.users u
        where u.id = p_user_id
        for no key update;
        exit when found;

        if clock_timestamp() > p_void_after then
            outcome := 'void';
            return;
        end if;
        -- After a conflict the row exists, or another user has the e-mail address.
        insert into public.users (id, email, name, image, email_verified)
        values (p_user_id, v_email, p_name, p_image, p_email_verified and v_email is not null)
        on conflict do nothing;
        if not found then
            insert into public.users (id, name, image)
            values (p_user_id, p_name, p_image)
            on conflict do nothing;
        end if;
        perform task_api_before.record_use();
    end loop;
    v_now := greatest(clock_timestamp(), v_updated_at);
    if p_is_retry then
        outcome := task_api_before.judge_retry(p_user_id, p_attempt, p_void_after);
    elsif v_known or clock_timestamp() > p_void_after then
        outcome := 'void';
    end if;
    if outcome = 'done' then
        -- The first attempt was carried out: returns the task as it is now.
        select case g.outcome when 'done' then 'done' else 'deleted' end, g.id, g.number, g.user_id, g.title,
               g.description, g.due_date, g.completed, g.completed_at, g.created_at, g.updated_at
        into outcome, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at
        from task_api_before.get_task(p_user_id, p_id, null) g;
        return;
    elsif outcome is not null then
        return;
    end if;

    if p_idempotency_key is not null then
        select 'replayed', t.idempotency_hash, t.id, t.number, t.user_id, t.title, t.description, t.due_date,
               t.completed, t.completed_at, t.created_at, t.updated_at
        into outcome, v_hash, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at
        from public.tasks t
        where t.user_id = p_user_id
          and t.idempotency_key = p_idempotency_key;
        if found and v_hash <> p_idempotency_hash then
            outcome := 'conflict';
        end if;
        if outcome is not null then
            return;
        end if;
    end if;

    insert into public.tasks as t (
        id, user_id, title, description, due_date, completed, completed_at,
        created_at, updated_at, idempotency_key, idempotency_hash
    )
    values (
        p_id, p_user_id, p_title, p_description, p_due_date, p_completed, case when p_completed then v_now end,
        v_now, v_now, p_idempotency_key, p_idempotency_hash
    )
    returning 'done', t.id, t.number, t.user_id, t.title, t.description, t.due_date, t.completed,
              t.completed_at, t.created_at, t.updated_at
    into outcome, id, number, user_id, title, description, due_date, completed,
         completed_at, created_at, updated_at;
    update public.users u
    set attempts = (p_attempt || u.attempts)[1:8],
        attempts_evicted = greatest(u.attempts_evicted, u.attempts[8]),
        updated_at = v_now
    where u.id = p_user_id;
    -- The user's first write today.
    if v_updated_at::date < v_now::date then
        perform task_api_before.record_use();
    end if;
end
$$;

grant execute on function task_api_before.create_task to task_api_endpoints;
-- Deletes a task, by its id or its number. outcome: done (with the id, unless an earlier attempt deleted the
-- task); not_found; void; unknown.
create function task_api_before.delete_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_attempt uuid,                     -- as the next two: see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text, out id uuid
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_known boolean;
    v_updated_at timestamptz;
    v_now timestamptz;
begin
    select p_attempt = any (u.attempts || u.voided), u.updated_at
    into v_known, v_updated_at
    from public.users u
    where u.id = p_user_id
    for no key update;
    if not found then
        -- A user without a row has no tasks.
        outcome := 'not_found';
        return;
    end if;
    v_now := greatest(clock_timestamp(), v_updated_at);
    if p_is_retry then
        outcome := task_api_before.judge_retry(p_user_id, p_attempt, p_void_after);
    elsif v_known or clock_timestamp() > p_void_after then
        outcome := 'void';
    end if;
    if outcome is not null then
        return;
    end if;

    if p_id is null then
        p_id := (
            select t.id
            from public.tasks t
            where t.user_id = p_user_id
              and t.number = p_number
        );
    end if;
    delete from public.tasks t
    where t.user_id = p_user_id
      and t.id = p_id
    returning 'done', t.id
    into outcome, id;
    if not found then
        outcome := 'not_found';
        return;
    end if;
    update public.users u
    set attempts = (p_attempt || u.attempts)[1:8],
        attempts_evicted = greatest(u.attempts_evicted, u.attempts[8]),
        updated_at = v_now
    where u.id = p_user_id;
    -- The user's first write today.
    if v_updated_at::date < v_now::date then
        perform task_api_before.record_use();
    end if;
end
$$;

grant execute on function task_api_before.delete_task to task_api_endpoints;
-- Returns a task by its id or its number. outcome: done, not_found.
create function task_api_before.get_task(
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

grant execute on function task_api_before.get_task to task_api_endpoints;
-- Returns a page of a user's tasks, and one task more if there are more. Newest first, the page begins after
-- p_offset tasks. Otherwise it is in creation order and begins after the task with the number p_after. total,
-- in every row, is the number of the user's tasks. An empty page is one row without a task.
create function task_api_before.list_tasks(
    p_user_id text,
    p_newest_first boolean,
    p_limit bigint,
    p_offset bigint,
    p_after bigint
)
returns table (
    total bigint, id uuid, number bigint, user_id text, title text, description text,
    due_date timestamptz, completed boolean, completed_at timestamptz,
    created_at timestamptz, updated_at timestamptz
)
-- Stable, so that the total and the page come from one snapshot.
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
               t.completed_at, t.created_at, t.updated_at
        from public.tasks t
        where t.user_id = p_user_id
          and t.number > p_after
        order by t.number
        limit p_limit + 1;
    elsif p_offset < 1000 then
        return query
        select total, t.id, t.number, t.user_id, t.title::text, t.description::text, t.due_date, t.completed,
               t.completed_at, t.created_at, t.updated_at
        from public.tasks t
        where t.user_id = p_user_id
        order by t.created_at desc, t.number desc
        limit p_limit + 1 offset p_offset;
    else
        -- A large offset is skipped with an index-only scan, which is slightly slower for small offsets.
        return query
        select total, t.id, t.number, t.user_id, t.title::text, t.description::text, t.due_date, t.completed,
               t.completed_at, t.created_at, t.updated_at
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

grant execute on function task_api_before.list_tasks to task_api_endpoints;
-- Records once a day that this schema is in use, so that migrate keeps it. If the row is locked, does
-- nothing, because another session is recording the same.
create function task_api_before.record_use()
returns void language plpgsql
as $$
begin
    update public.function_schemas
    set last_used = current_date
    where name = (
        select s.name
        from public.function_schemas s
        where s.name = 'task_api_before' and s.last_used < current_date
        for update skip locked
    );
end
$$;
-- Changes a task, by its id or its number. outcome: done; deleted (an earlier attempt changed the task, and
-- it was deleted since); not_found; void; unknown.
create function task_api_before.update_task(
    p_user_id text,
    p_id uuid,
    p_number bigint,
    p_title text,                       -- null keeps it
    p_set_description boolean,
    p_description text,
    p_set_due_date boolean,
    p_due_date timestamptz,
    p_completed boolean,                -- null keeps it, or toggles it
    p_toggle boolean,
    p_attempt uuid,                     -- as the next two: see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text, out id uuid, out number bigint, out user_id text, out title text, out description text,
    out due_date timestamptz, out completed boolean, out completed_at timestamptz,
    out created_at timestamptz, out updated_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    v_known boolean;
    v_updated_at timestamptz;
    v_now timestamptz;
begin
    select p_attempt = any (u.attempts || u.voided), u.updated_at
    into v_known, v_updated_at
    from public.users u
    where u.id = p_user_id
    for no key update;
    if not found then
        -- A user without a row has no tasks.
        outcome := 'not_found';
        return;
    end if;
    v_now := greatest(clock_timestamp(), v_updated_at);
    if p_is_retry then
        outcome := task_api_before.judge_retry(p_user_id, p_attempt, p_void_after);
    elsif v_known or clock_timestamp() > p_void_after then
        outcome := 'void';
    end if;
    if outcome = 'done' then
        -- The first attempt was carried out: returns the task as it is now.
        select case g.outcome when 'done' then 'done' else 'deleted' end, g.id, g.number, g.user_id, g.title,
               g.description, g.due_date, g.completed, g.completed_at, g.created_at, g.updated_at
        into outcome, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at
        from task_api_before.get_task(p_user_id, p_id, p_number) g;
        return;
    elsif outcome is not null then
        return;
    end if;

    if p_id is null then
        p_id := (
            select t.id
            from public.tasks t
            where t.user_id = p_user_id
              and t.number = p_number
        );
    end if;
    update public.tasks t
    set title = coalesce(p_title, t.title),
        description = case when p_set_description then p_description else t.description end,
        due_date = case when p_set_due_date then p_due_date else t.due_date end,
        completed = coalesce(p_completed, t.completed <> p_toggle),
        completed_at = case
            when coalesce(p_completed, t.completed <> p_toggle) then coalesce(t.completed_at, v_now)
        end,
        updated_at = greatest(t.updated_at, v_now)
    where t.user_id = p_user_id
      and t.id = p_id
    returning 'done', t.id, t.number, t.user_id, t.title, t.description, t.due_date, t.completed,
              t.completed_at, t.created_at, t.updated_at
    into outcome, id, number, user_id, title, description, due_date, completed,
         completed_at, created_at, updated_at;
    if not found then
        outcome := 'not_found';
        return;
    end if;
    update public.users u
    set attempts = (p_attempt || u.attempts)[1:8],
        attempts_evicted = greatest(u.attempts_evicted, u.attempts[8]),
        updated_at = v_now
    where u.id = p_user_id;
    -- The user's first write today.
    if v_updated_at::date < v_now::date then
        perform task_api_before.record_use();
    end if;
end
$$;

grant execute on function task_api_before.update_task to task_api_endpoints;
