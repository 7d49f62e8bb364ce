#pragma once
/*
 * lwIP as the gateway uses it: TCP and nothing else, on one thread, over a link without loss. net/stack.c hands
 * segments to tcp_input() itself, so that nothing of lwIP's IP input, neighbours or fragments is ever reached.
 */
#define NO_SYS                        1
#define SYS_LIGHTWEIGHT_PROT          0
#define LWIP_NETCONN                  0
#define LWIP_SOCKET                   0
#define LWIP_TIMERS                   0 /* net/stack.c calls tcp_tmr() while something waits for it */
#define LWIP_SINGLE_NETIF             1
#define LWIP_IPV4                     1
#define LWIP_IPV6                     1
#define LWIP_ARP                      0
#define LWIP_ETHERNET                 0
#define LWIP_ICMP                     0
#define LWIP_ICMP6                    1 /* lwIP's IPv6 does not link without; nothing reaches it */
#define LWIP_RAW                      0
#define LWIP_UDP                      0
#define LWIP_DHCP                     0
#define LWIP_AUTOIP                   0
#define LWIP_IGMP                     0
#define LWIP_DNS                      0
#define IP_FRAG                       0
#define IP_REASSEMBLY                 0
#define LWIP_IPV6_FRAG                0
#define LWIP_IPV6_REASS               0
#define LWIP_IPV6_MLD                 0
#define LWIP_IPV6_SCOPES              0
#define LWIP_IPV6_AUTOCONFIG          0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_ND6_QUEUEING             0
#define LWIP_STATS                    0
#define LWIP_NETIF_LOOPBACK           0
#define LWIP_HAVE_LOOPIF              0

/* From malloc(): net/tcp.h bounds the connections, and these what each of them holds. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT   8

/* What an IPv6 segment holds in a frame of ADDRESSES_MTU_GATEWAY. */
#define TCP_MSS        65460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE  3
#define TCP_WND        (256 << 10) /* STACK_WINDOW */
#define TCP_SND_BUF    (256 << 10)
/* Segments and pieces of them that wait for an acknowledgement: many small writes must not hold much memory. */
#define TCP_SND_QUEUELEN          128
#define MEMP_NUM_TCP_SEG          128
#define TCP_QUEUE_OOSEQ           0 /* the link keeps the order */
#define LWIP_TCP_SACK_OUT         0
#define LWIP_TCP_TIMESTAMPS       0
#define TCP_LISTEN_BACKLOG        0
#define TCP_OVERSIZE              0
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1 /* tells of a connection as soon as its SYN is taken */
#define LWIP_TCP_MAX_SACK_NUM     0
/* Those look at the limits of sockets, which are not there. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
/*
 * The wire takes microseconds; what is lost is lost in the guest, which had no memory just then. So delayed
 * acknowledgements are as late as Linux's, and a second transmission is not far. It still is tried for minutes.
 */
#define TCP_TMR_INTERVAL  50
#define LWIP_TCP_RTO_TIME 1000

/* The header before each frame says that the guest need not look. */
#define CHECKSUM_GEN_TCP   0
#define CHECKSUM_CHECK_TCP 0
#define CHECKSUM_GEN_IP    1
#define CHECKSUM_CHECK_IP  0
#define CHECKSUM_GEN_ICMP6 0
