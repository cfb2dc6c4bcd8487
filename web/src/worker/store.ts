// Where a participant's state lives between visits: its device key and what was counted.

export interface StateStore {
  load(): Promise<Uint8Array | null>;
  save(state: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): void;
}

/** Forgotten with the tab. */
export class MemoryStore implements StateStore {
  private state: Uint8Array | null;
  constructor(state: Uint8Array | null = null) {
    this.state = state;
  }
  async load(): Promise<Uint8Array | null> {
    return this.state;
  }
  async save(state: Uint8Array<ArrayBuffer>): Promise<void> {
    this.state = state;
  }
  close(): void {}
}

const databaseName = 'linnet';
const table = 'participants';
const maxTabs = 64;

/**
 * IndexedDB, one record per coordinator, federation and tab: a device key may be in use once at a time, so each tab of
 * this origin takes the first free place and holds it by a Web Lock until it is closed.
 */
export class DatabaseStore implements StateStore {
  private readonly database: IDBDatabase;
  private readonly key: string;
  private readonly release: () => void;

  private constructor(database: IDBDatabase, key: string, release: () => void) {
    this.database = database;
    this.key = key;
    this.release = release;
  }

  static async open(name: string): Promise<DatabaseStore> {
    const request = indexedDB.open(databaseName, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(table);
    const database = await done(request);
    for (let place = 0; place < maxTabs; ++place) {
      const key = `${name} #${place}`;
      const release = await holdLock(`linnet ${key}`);
      if (release) return new DatabaseStore(database, key, release);
    }
    throw new Error(`${maxTabs} tabs of this page take part already`);
  }

  async load(): Promise<Uint8Array | null> {
    const found: unknown = await done(this.database.transaction(table).objectStore(table).get(this.key));
    return found instanceof Uint8Array ? found : null;
  }
  async save(state: Uint8Array<ArrayBuffer>): Promise<void> {
    const transaction = this.database.transaction(table, 'readwrite', {durability: 'strict'});
    transaction.objectStore(table).put(state, this.key);
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error('the browser refused to store'));
    });
  }
  close(): void {
    this.database.close();
    this.release();
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser refused its database'));
  });
}

// The lock is free again when the returned function is called, or with the tab. null: somebody holds it.
function holdLock(name: string): Promise<(() => void) | null> {
  if (!('locks' in navigator)) return Promise.resolve(() => {});
  return new Promise((resolve) => {
    void navigator.locks.request(name, {ifAvailable: true}, (lock) => {
      if (!lock) return resolve(null);
      return new Promise<void>((free) => resolve(free));
    });
  });
}
