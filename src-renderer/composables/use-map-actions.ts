import { useConnection } from "../stores/connection.ts";
import { useLab } from "../stores/lab.ts";
import { useNotices } from "../stores/notices.ts";
import { usePlace } from "../stores/place.ts";
import { useAction } from "./use-action.ts";

/** What the map's menus and side panel do. */
export function useMapActions() {
  const { api } = useConnection();
  const lab = useLab();
  const place = usePlace();
  const notices = useNotices();
  const { run } = useAction();
  const labId = () => lab.openId ?? "";

  async function capture(hosts: readonly string[]): Promise<void> {
    const started = await run("The capture could not start", () => api.call("capture.start", { lab: labId(), hosts: [...hosts], headersOnly: true }));
    if (started) notices.info("Capturing packet headers. Stop it in the side panel, or with Stop all.");
  }

  async function handOver(client: string, acceptor: string, mode: "full" | "prepared" = "full"): Promise<void> {
    const group = lab.clients.get(client)?.group;
    if (!group) return;
    const started = await run("The client could not be handed over", () => api.call("handoff.start", { lab: labId(), group, client, acceptor, mode, drain: false }));
    if (started) notices.info(`Handoff ${started.handoff} started; Live shows its messages.`);
  }

  const restoreLink = (link: string) => run("The link could not be restored", () => api.call("link.restore", { lab: labId(), link }));
  const stopCapture = (capture: string) => run("The capture could not be stopped", () => api.call("capture.stop", { lab: labId(), capture }));

  async function showCapture(capture: string): Promise<void> {
    const shown = await run("The capture could not be shown", () => api.call("capture.show", { lab: labId(), capture }));
    if (shown) notices.info(shown.detail);
  }

  return { capture, handOver, restoreLink, stopCapture, showCapture, showHandoff: (id: string) => place.go("live", id) };
}
