/** What jobs of the crash tests send: 20 datagrams of 1000 bytes to each address outside. */
const COUNT = 20;
const PAYLOAD_BYTES = 1000;
export const IPV4_BYTES = COUNT * (PAYLOAD_BYTES + 28);
export const IPV6_BYTES = COUNT * (PAYLOAD_BYTES + 48);

/** A script of bash that has sent all of it when it ends: what waits for its neighbour's link address is not sent yet. */
export const SEND = `printf -v data %0${PAYLOAD_BYTES}d 0
for to in 192.0.2.254 2001:db8::fe; do for i in {1..${COUNT}}; do printf %s $data > /dev/udp/$to/7001; done; done
for i in {1..100}; do ip neigh | grep -q INCOMPLETE || break; sleep 0.05; done
`;
