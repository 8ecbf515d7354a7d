//! MISP: the client against a stand-in server that is proved by other programs, and what becomes of
//! indicators while servers fail.

mod agreement;
mod description;
mod failing;
mod lifetime;
mod memory;
mod paging;
pub(crate) mod peers;
mod proxy;
pub(crate) mod puller;
pub(crate) mod stand;
mod wakeup;
