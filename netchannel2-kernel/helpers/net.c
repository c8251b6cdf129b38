// SPDX-License-Identifier: GPL-2.0
#include <linux/etherdevice.h>

#include "helpers.h"

struct net_device *nc2_alloc_etherdev(int private_size, unsigned int queues)
{
	return alloc_etherdev_mq(private_size, queues);
}

void *nc2_netdev_priv(struct net_device *dev)
{
	return netdev_priv(dev);
}

void nc2_set_netdev_parent(struct net_device *dev, struct device *parent)
{
	SET_NETDEV_DEV(dev, parent);
}

int nc2_netdev_set_name(struct net_device *dev, const char *name)
{
	return strscpy(dev->name, name);
}

void nc2_netdev_disable_netpoll(struct net_device *dev)
{
	dev->priv_flags |= IFF_DISABLE_NETPOLL;
}

void nc2_set_dstats(struct net_device *dev)
{
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_DSTATS;
}

void nc2_eth_hw_addr_set(struct net_device *dev, const u8 *address)
{
	eth_hw_addr_set(dev, address);
}

void nc2_netif_napi_add(struct net_device *dev, struct napi_struct *napi,
			int (*poll)(struct napi_struct *napi, int budget))
{
	netif_napi_add(dev, napi, poll);
}

void nc2_netif_napi_del(struct napi_struct *napi)
{
	netif_napi_del(napi);
}

bool nc2_napi_schedule(struct napi_struct *napi)
{
	return napi_schedule(napi);
}

void nc2_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	napi_gro_receive(napi, skb);
}

void nc2_netif_stop_subqueue(struct net_device *dev, u16 queue)
{
	netif_stop_subqueue(dev, queue);
}

void nc2_netif_wake_subqueue(struct net_device *dev, u16 queue)
{
	netif_wake_subqueue(dev, queue);
}

bool nc2_netif_running(const struct net_device *dev)
{
	return netif_running(dev);
}

bool nc2_netdev_xmit_more(void)
{
	return netdev_xmit_more();
}

void nc2_dstats_rx_add(struct net_device *dev, unsigned int length)
{
	dev_dstats_rx_add(dev, length);
}

void nc2_dstats_rx_dropped(struct net_device *dev)
{
	dev_dstats_rx_dropped(dev);
}

void nc2_dstats_tx_add(struct net_device *dev, unsigned int length)
{
	dev_dstats_tx_add(dev, length);
}

void nc2_dstats_tx_dropped(struct net_device *dev)
{
	dev_dstats_tx_dropped(dev);
}

void nc2_netif_tx_disable(struct net_device *dev)
{
	netif_tx_disable(dev);
}

struct net_device *nc2_to_net_dev(struct device *dev)
{
	return to_net_dev(dev);
}

void nc2_nl_set_err_msg(struct netlink_ext_ack *extack, const char *words)
{
	NL_SET_ERR_MSG_FMT(extack, "%s", words);
}
