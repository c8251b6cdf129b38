/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Out-of-line copies of C macros and inline functions, for Rust.
 *
 * Each is one call; anything with logic of its own is written in Rust.
 */
#ifndef NETCHANNEL2_HELPERS_H
#define NETCHANNEL2_HELPERS_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <net/page_pool/helpers.h>
#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>
#include <xen/interface/grant_table.h>

/* helpers/xen.c */
bool nc2_xen_domain(void);
bool nc2_xen_has_pv_nic_devices(void);
unsigned long nc2_virt_to_gfn(const void *address);
unsigned long nc2_p2m_entry(const void *address);
bool nc2_xen_pv_domain(void);
void nc2_virt_mb(void);
void nc2_virt_wmb(void);
u32 nc2_load_acquire(const u32 *word);
void nc2_store_release(u32 *word, u32 value);
int nc2_evtchn_alloc_unbound(domid_t remote, evtchn_port_t *port);
int nc2_evtchn_status(struct evtchn_status *status);
void nc2_evtchn_close(evtchn_port_t port);
int nc2_evtchn_bind_interdomain(domid_t remote, evtchn_port_t remote_port,
				evtchn_port_t *port);
void nc2_evtchn_notify(evtchn_port_t port);
int nc2_grant_copy(struct gnttab_copy *operations, unsigned int count);
int nc2_grant_table_op(unsigned int command, void *operations, unsigned int count);
u32 nc2_grant_table_version(void);
int nc2_map_frame(void *address, unsigned long frame);
void nc2_unmap_frame(void *address);
void nc2_memcpy(void *to, const void *from, size_t length);
void nc2_gnttab_set_map_op(struct gnttab_map_grant_ref *op, void *address,
			   u32 flags, grant_ref_t ref, domid_t domid);
void nc2_gnttab_set_unmap_op(struct gnttab_unmap_grant_ref *op, void *address,
			     u32 flags, grant_handle_t handle);
int nc2_uevent_online(struct device *dev, char *variables[]);
int nc2_request_module_nowait(const char *name);

/* helpers/net.c */
struct net_device *nc2_alloc_etherdev(int private_size, unsigned int queues);
void *nc2_netdev_priv(struct net_device *dev);
void nc2_set_netdev_parent(struct net_device *dev, struct device *parent);
int nc2_netdev_set_name(struct net_device *dev, const char *name);
/* Its locks are not for interrupts off, as netpoll has them. */
void nc2_netdev_disable_netpoll(struct net_device *dev);
void nc2_set_dstats(struct net_device *dev);
void nc2_eth_hw_addr_set(struct net_device *dev, const u8 *address);
void nc2_netif_napi_add(struct net_device *dev, struct napi_struct *napi,
			int (*poll)(struct napi_struct *napi, int budget));
void nc2_netif_napi_del(struct napi_struct *napi);
bool nc2_napi_schedule(struct napi_struct *napi);
void nc2_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb);
void nc2_netif_stop_subqueue(struct net_device *dev, u16 queue);
void nc2_netif_wake_subqueue(struct net_device *dev, u16 queue);
bool nc2_netif_running(const struct net_device *dev);
bool nc2_netdev_xmit_more(void);
void nc2_dstats_rx_add(struct net_device *dev, unsigned int length);
void nc2_dstats_rx_dropped(struct net_device *dev);
void nc2_dstats_tx_add(struct net_device *dev, unsigned int length);
void nc2_dstats_tx_dropped(struct net_device *dev);
void nc2_netif_tx_disable(struct net_device *dev);
struct net_device *nc2_to_net_dev(struct device *dev);
void nc2_nl_set_err_msg(struct netlink_ext_ack *extack, const char *words);
enum { NC2_COALESCE_PARAMS = ETHTOOL_COALESCE_USECS | ETHTOOL_COALESCE_MAX_FRAMES |
	ETHTOOL_COALESCE_USE_ADAPTIVE };

/* helpers/skb.c */
void *nc2_skb_frag_address(const struct sk_buff *skb, unsigned int frag);
unsigned int nc2_skb_frag_size(const struct sk_buff *skb, unsigned int frag);
int nc2_skb_orphan_frags_rx(struct sk_buff *skb);
void nc2_skb_tx_timestamp(struct sk_buff *skb);
void nc2_skb_orphan(struct sk_buff *skb);
void nc2_nf_reset_ct(struct sk_buff *skb);
void nc2_skb_reserve(struct sk_buff *skb, int length);
void nc2_skb_add_rx_frag(struct sk_buff *skb, struct page *page, int offset,
			 int length, unsigned int truesize);
void nc2_skb_mark_for_recycle(struct sk_buff *skb);
void nc2_skb_set_checksum_verified(struct sk_buff *skb);
void nc2_skb_set_checksum_partial(struct sk_buff *skb);
void nc2_skb_reset_network_header(struct sk_buff *skb);
u8 nc2_skb_ip_summed(const struct sk_buff *skb);
unsigned int nc2_skb_checksum_start(const struct sk_buff *skb);
unsigned int nc2_skb_checksum_offset(const struct sk_buff *skb);
void nc2_skb_set_protocol(struct sk_buff *skb, __be16 protocol);
void nc2_skb_set_gso(struct sk_buff *skb, unsigned int size,
		     unsigned int type);
void nc2_skb_free(struct sk_buff *skb);
struct page *nc2_page_pool_alloc(struct page_pool *pool);
void nc2_page_pool_put(struct page_pool *pool, struct page *page);
void *nc2_page_pool_alloc_va(struct page_pool *pool, unsigned int *size);
void nc2_page_pool_free_va(struct page_pool *pool, void *address);
struct page *nc2_alloc_zeroed_page(void);
void nc2_put_page(struct page *page);
void *nc2_page_address(const struct page *page);

/* helpers/kunit.c */
void nc2_kunit_skip(const char *reason);
struct sk_buff *nc2_alloc_skb(unsigned int size);
void nc2_local_bh_disable(void);
void nc2_local_bh_enable(void);

/* helpers/sync.c */
bool nc2_in_softirq(void);
void nc2_spin_lock(spinlock_t *lock);
void nc2_spin_unlock(spinlock_t *lock);
void nc2_spin_lock_bh(spinlock_t *lock);
void nc2_spin_unlock_bh(spinlock_t *lock);
int nc2_spin_trylock_bh(spinlock_t *lock);
void nc2_init_delayed_work(struct delayed_work *work,
			   void (*function)(struct work_struct *work));
void nc2_queue_delayed_work(struct delayed_work *work, unsigned int ms);
void nc2_synchronize_rcu_tasks(void);
struct workqueue_struct *nc2_alloc_workqueue(const char *name, bool freezable);

#endif /* NETCHANNEL2_HELPERS_H */
