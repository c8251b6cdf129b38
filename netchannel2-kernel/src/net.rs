// SPDX-License-Identifier: GPL-2.0

//! Net devices and what they carry.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

mod buffer;
mod coalesce;
mod device;
mod ethtool;
mod napi;
mod offload;
mod operations;
mod page_pool;
mod reader;
mod skb;
mod sysfs;

pub use self::{
    buffer::ReceiveBuffer,
    coalesce::{
        Coalesce,
        NotModerating, //
    },
    device::{
        Carrier,
        MacAddress,
        Mtu,
        NetDevice,
        Registration, //
    },
    ethtool::Statistic,
    napi::{
        Budget,
        Completed,
        EnabledNapi,
        Napi,
        NapiContext,
        Poll, //
    },
    offload::Offloads,
    operations::{
        More,
        Operations,
        Transmit, //
    },
    page_pool::PagePool,
    reader::Reader,
    skb::{
        Piece,
        Pieces,
        Skb,
        SkbList, //
    },
};
