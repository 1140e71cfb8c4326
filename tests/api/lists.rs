//! `GET …/tasks`: pages, cursors, filters and sort.

mod cursors;
mod filters;
mod model;
mod pages;

/// The values of `sort`.
const SORTS: [&str; 10] = [
    "created_at",
    "-created_at",
    "updated_at",
    "-updated_at",
    "due_date",
    "-due_date",
    "title",
    "-title",
    "priority",
    "-priority",
];
