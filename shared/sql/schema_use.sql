-- Records once a day that this schema is in use, so that migrate doesn't remove it. Skips a locked row,
-- because another session is recording the same.
create function task_api_functions.record_use()
returns void language plpgsql
as $$
begin
    update public.function_schemas
    set last_used = current_date
    where name = (
        select s.name
        from public.function_schemas s
        where s.name = 'task_api_functions' and s.last_used < current_date
        for update skip locked
    );
end
$$;
