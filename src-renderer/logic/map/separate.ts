export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Moves boxes (x, y is their middle) apart until each has `margin` around it, along the shorter way out; far ones stay where they are. */
export function separate<T extends Box>(boxes: readonly T[], margin: number, rounds = 400): T[] {
  const at = boxes.map((box) => ({ x: box.x, y: box.y }));
  for (let round = 0, moved = true; moved && round < rounds; round++) {
    moved = false;
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) moved = push(boxes, at, i, j, margin) || moved;
  }
  return boxes.map((box, i) => ({ ...box, ...(at[i] as { x: number; y: number }) }));
}

function push(boxes: readonly Box[], at: { x: number; y: number }[], i: number, j: number, margin: number): boolean {
  const [a, b, p, q] = [boxes[i], boxes[j], at[i], at[j]];
  if (!a || !b || !p || !q) return false;
  const overX = (a.width + b.width) / 2 + margin - Math.abs(p.x - q.x);
  const overY = (a.height + b.height) / 2 + margin - Math.abs(p.y - q.y);
  if (overX <= 0.01 || overY <= 0.01) return false;
  if (overX < overY) {
    const sign = p.x === q.x ? 1 : Math.sign(q.x - p.x);
    p.x -= (sign * overX) / 2;
    q.x += (sign * overX) / 2;
  } else {
    const sign = p.y === q.y ? 1 : Math.sign(q.y - p.y);
    p.y -= (sign * overY) / 2;
    q.y += (sign * overY) / 2;
  }
  return true;
}
