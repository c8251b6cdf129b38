/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <net/page_pool/helpers.h>
#include <xen/events.h>
#include <xen/grant_table.h>
#include <xen/interface/io/xenbus.h>
#include <xen/page.h>
#include <xen/xenbus.h>

#include "../helpers/helpers.h"
