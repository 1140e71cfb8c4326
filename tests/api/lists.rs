//! `GET …/tasks`: pages, cursors, filters, sort and versions of the list.

mod cursors;
mod filters;
mod model;
mod pages;
mod versions;
