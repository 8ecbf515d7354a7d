//! MISP: the client against a stand-in server that is proved by other programs, and what becomes of
//! indicators while servers fail.

mod agreement;
mod description;
mod failing;
mod memory;
mod paging;
mod peers;
pub(crate) mod puller;
pub(crate) mod stand;
mod wakeup;
