// docs/conformance.md: every test file of libzmq has its row there, and every test that a row names
// is one of ours.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";

const root = `${import.meta.dir}/..`;
const document = readFileSync(`${root}/docs/conformance.md`, "utf8");

/** libzmq's tests of socket types, PUB/SUB, life cycle, API, drafts and security. */
const libzmq = `
  test_spec_req test_spec_rep test_spec_dealer test_spec_router test_spec_pushpull
  test_req_correlate test_req_relaxed test_invalid_rep test_reqrep_device test_reqrep_inproc
  test_reqrep_ipc test_reqrep_tcp test_reqrep_tipc test_reqrep_vmci test_reqrep_vsock
  test_pair_inproc test_pair_ipc test_pair_tcp test_pair_tipc test_pair_vmci test_pair_vsock
  test_pair_tcp_cap_net_admin test_router_mandatory test_router_mandatory_hwm
  test_router_mandatory_tipc test_router_handover test_router_notify test_probe_router
  test_connect_rid test_issue_566 test_srcfd

  test_pubsub test_mock_pub_sub test_sub_forward test_sub_forward_tipc test_xpub_topic
  test_xpub_verbose test_xsub_verbose test_xpub_manual test_xpub_manual_last_value
  test_xpub_welcome_msg test_xpub_nodrop test_pub_invert_matching test_pubsub_topics_count
  test_disconnect_inproc test_hwm_pubsub test_conflate

  test_hwm test_sockopt_hwm test_immediate test_connect_delay_tipc test_bind_after_connect_tcp
  test_term_endpoint test_term_endpoint_tipc test_unbind_wildcard test_last_endpoint
  test_inproc_connect test_ctx_destroy test_ctx_options test_shutdown_stress
  test_shutdown_stress_tipc test_many_sockets test_fork test_reconnect_ivl test_reconnect_options
  test_rebind_ipc test_timeo test_hello_msg test_disconnect_msg test_hiccup_msg test_use_fd
  test_getsockopt_memset test_setsockopt test_busy_poll test_diffserv test_tcp_accept_filter
  test_filter_ipc test_bind_src_address test_connect_resolve test_ipc_wildcard test_abstract_ipc
  test_address_tipc test_socks

  test_client_server test_thread_safe test_peer test_peer_disconnect test_channel
  test_scatter_gather test_dgram test_radio_dish test_poller test_timers test_zmq_poll_fd
  test_zmq_ppoll_fd test_zmq_ppoll_signals test_proxy test_proxy_steerable test_proxy_hwm
  test_proxy_single_socket test_proxy_terminate test_msg_flags test_msg_init test_msg_ffn test_iov
  test_atomics test_ancillaries test_capabilities test_socket_null test_system unittests

  test_security_null test_security_plain test_security_curve test_security_gssapi test_security_zap
  test_security_no_zap_handler test_metadata test_base85 test_z85_decode_fuzzer test_sodium
`.split(/\s+/).filter(Boolean);

interface Row {
  names: string[];
  /** Tests of ours, or a reason. */
  ours: string;
}

const rows: Row[] = [...document.matchAll(/^\| ([^|]+) \| (?:[^|]+) \| (.+) \|$/gm)]
  .map(([, names, ours]) => ({ names: names!.split(", "), ours: ours! }))
  .filter(({ names }) => names[0] !== "libzmq");
const references = rows.flatMap(({ ours }) => {
  return [...ours.matchAll(/`([^`]+)` "(.*?)"(?=<br>|$)/g)].map(([, file, title]) => {
    return { file: file!, title: title! };
  });
});

/** Whether a source has a test or a group of tests with this title. */
function has(source: string, file: string, title: string): boolean {
  const escaped = title.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const pattern = file.endsWith(".zig") ? `^test "${escaped}"` : `\\(\\s*(["'\`])${escaped}\\1,`;
  return new RegExp(pattern, "m").test(source);
}

describe("docs/conformance.md", () => {
  test("has a row for every test file of libzmq, and for each of the twenty traps", () => {
    const named = rows.flatMap(({ names }) => names);
    const traps = Array.from({ length: 20 }, (_, index) => `${index + 1}`);
    expect(named.toSorted()).toEqual([...libzmq, ...traps].toSorted());
  });

  test("says in every row which test of ours it is, or why there is none", () => {
    const empty = rows.filter(({ ours }) => !/^`|<br>`|^None: .{10}|^[A-Z][^`]+\.$/.test(ours));
    expect(empty).toEqual([]);
  });

  test("names tests that are there: one that was removed or renamed is missed", () => {
    expect(references.length).toBeGreaterThan(150);
    const missing = references.filter(({ file, title }) => {
      const path = `${root}/${file}`;
      return !existsSync(path) || !has(readFileSync(path, "utf8"), file, title);
    });
    expect(missing).toEqual([]);
  });
});
