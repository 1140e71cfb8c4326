//! Users as a whole: erasing one, and placing them on several databases.

mod erase;
mod several_databases;
