"""A DNS server on a free loopback port, which knows TXT records and nothing else."""

from __future__ import annotations

import socketserver
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class DnsServer:
    """Answers with `texts`, by name without the last dot; whoever holds it writes them at any time."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def address(self) -> str:
        """As the platform's setting writes it."""
        return f"127.0.0.1#{self._server.server_address[1]}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        texts = self.texts

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                asked = dns.message.from_wire(data)
                answer = dns.message.make_response(asked)
                answer.flags |= dns.flags.RA
                question = asked.question[0]
                found = texts.get(question.name.to_text(omit_final_dot=True).lower())
                if found is None:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                elif question.rdtype == dns.rdatatype.TXT and found:
                    quoted = [f'"{text}"' for text in found]
                    answer.answer.append(
                        dns.rrset.from_text(question.name, 60, dns.rdataclass.IN, dns.rdatatype.TXT, *quoted)
                    )
                sock.sendto(answer.to_wire(), self.client_address)

        return Handler
