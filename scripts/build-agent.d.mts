/** Whether out/agent is as new as its sources. */
export function agentIsBuilt(): boolean;
export function buildAgent(): Promise<void>;
