    if p_expected_revisions is not null then
        select t.revision, t.updated_at
        into revision, updated_at
        from public.tasks t
        where t.user_id = p_user_id
          and t.id = p_id;
        if found and not task_api_functions.is_among(
            revision, updated_at, p_expected_revisions, p_expected_times
        ) then
            outcome := 'changed';
            return;
        end if;
    end if;
